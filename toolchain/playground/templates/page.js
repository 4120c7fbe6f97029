"use strict";
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const data = read("data"), at = (id) => document.getElementById(id);
const MOST = 1024 * 1024, LONGEST = 8192, SEED = 1;
const worker = new Worker(URL.createObjectURL(new Blob([read("worker")], { type: "text/javascript" })));
worker.postMessage({ table: data.quantiles });
let picture = null, notice = "", asked = 0, timer = 0;

function show(text) {
  at("status").textContent = [notice, text].filter(Boolean).join(" ");
}

function student() {
  return data.students[at("student").selectedIndex];
}

/* Take a picture in: smaller if it has more pixels than a phone computes while one waits. */
function take(source, width, height) {
  const factor = Math.min(1, Math.sqrt(MOST / (width * height)), LONGEST / Math.max(width, height));
  const size = [width, height].map((side) => Math.max(1, Math.round(side * factor)));
  notice = factor < 1 ? `Made smaller: ${width} x ${height} to ${size[0]} x ${size[1]}.` : "";
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = size;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, ...size);
  context.drawImage(source, 0, 0, ...size);
  picture = context.getImageData(0, 0, ...size);
  restore();
}

function takeFile(file) {
  const url = URL.createObjectURL(file), image = new Image();
  image.onload = () => {
    try {
      take(image, image.naturalWidth, image.naturalHeight);
    } catch (error) {
      show(`${file.name}: this browser cannot hold it (${error.message}); make it smaller.`);
    }
    URL.revokeObjectURL(url);
  };
  image.onerror = () => show(`${file.name}: no picture that this browser reads; take a PNG or JPEG.`);
  image.src = url;
}

function restore() {
  if (!picture) return;
  at("sigma-shown").value = at("sigma").value;
  at("summary").textContent = student().summary;
  const { width, height } = picture, pixels = new Uint8Array(picture.data);
  show("computing …");
  worker.postMessage({ id: ++asked, student: student(), pixels, width, height, sigma: +at("sigma").value, seed: SEED });
}

function paint(canvas, pixels, width, height) {
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(new Uint8ClampedArray(pixels), width, height), 0, 0);
}

function split() {
  at("after").style.clipPath = `inset(0 0 0 ${at("split").value}%)`;
}

function layer({ name, width, height, cells, spikes, neurons }) {
  const figure = document.createElement("figure"), canvas = document.createElement("canvas");
  const most = cells.reduce((one, other) => Math.max(one, other), 1), pixels = new Uint8Array(4 * cells.length);
  cells.forEach((cell, place) => pixels.set([255 * cell / most, 190 * cell / most, 60, 255], 4 * place));
  paint(canvas, pixels, width, height);
  const caption = document.createElement("figcaption");
  caption.textContent = `${name}: ${spikes.toLocaleString("en")} (${(100 * spikes / neurons).toFixed(1)} %)`;
  figure.append(canvas, caption);
  return figure;
}

worker.onmessage = ({ data: told }) => {
  if (told.id !== asked) return;
  if (told.error) show(told.error);
  else if (told.progress) show(`${Math.round(100 * told.progress)} %`);
  else if (told.maps) {
    at("layers").replaceChildren(...told.maps.map(layer));
    document.documentElement.dataset.spikes = told.maps.map(({ spikes }) => spikes).join(" ");
  } else {
    paint(at("before"), told.noisy, told.width, told.height);
    paint(at("after"), told.restored, told.width, told.height);
    split();
    show(`${told.width} x ${told.height} in ${told.ms.toFixed(0)} ms. Fingerprint of the result: ${told.output}.`);
    delete document.documentElement.dataset.spikes;
    Object.assign(document.documentElement.dataset, { input: told.input, output: told.output, student: told.student });
  }
};
worker.onerror = (error) => show(`This browser cannot run it: ${error.message}`);

async function camera() {
  try {
    if (!navigator.mediaDevices) throw new Error("this browser gives a page from disk none");
    const stream = await navigator.mediaDevices.getUserMedia({ video: true });
    const video = document.createElement("video");
    Object.assign(video, { srcObject: stream, muted: true, playsInline: true });
    await video.play();
    take(video, video.videoWidth, video.videoHeight);
    stream.getTracks().forEach((track) => track.stop());
  } catch (error) {
    const why = error.name === "NotAllowedError" ? "it was refused" : error.message || error;
    show(`No camera: ${why}. Open a photograph instead.`);
  }
}

function sample() {
  const image = new Image();
  image.onload = () => take(image, image.naturalWidth, image.naturalHeight);
  image.src = `data:image/png;base64,${data.sample}`;
}

function choose() {
  at("sigma").value = student().noise;
  restore();
}

at("student").append(...data.students.map(({ name }) => new Option(name)));
at("student").onchange = choose;
at("sigma").oninput = () => {
  at("sigma-shown").value = at("sigma").value;
  clearTimeout(timer);
  timer = setTimeout(restore, 200);
};
for (const id of ["file", "shot"])
  at(id).onchange = ({ target }) => {
    if (target.files[0]) takeFile(target.files[0]);
    target.value = "";
  };
at("camera").onclick = camera;
at("sample").onclick = sample;
at("split").oninput = split;
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("stage").classList.add("over");
});
addEventListener("dragleave", () => at("stage").classList.remove("over"));
addEventListener("drop", (event) => {
  event.preventDefault();
  at("stage").classList.remove("over");
  if (event.dataTransfer.files[0]) takeFile(event.dataTransfer.files[0]);
});
choose();
sample();
