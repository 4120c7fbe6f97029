
/* In a Worker: noise on the picture, the student's run, and what the page shows of it. */
let table = null;
const students = new Map();

/* The light of each pixel in all its channels, for a student of one; grey pixels stay as they are. */
function toGrey(pixels) {
  for (let at = 0; at < pixels.length; at += 4)
    pixels.fill(Math.floor((299 * pixels[at] + 587 * pixels[at + 1] + 114 * pixels[at + 2] + 500) / 1000), at, at + 3);
}

/* Gaussian noise from integers alone: mulberry32's upper 12 bits choose one of 4096 quantiles. */
function addNoise(pixels, sigma, seed, channels) {
  let state = seed | 0;
  for (let at = 0; at < pixels.length; at++) {
    if (at % 4 === 3) continue;
    if (at % 4 >= channels) {
      pixels[at] = pixels[at - 1];
      continue;
    }
    state = (state + 0x6d2b79f5) | 0;
    let word = Math.imul(state ^ (state >>> 15), 1 | state);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    const noise = Math.floor((sigma * table[(word ^ (word >>> 14)) >>> 20] + 32768) / 65536);
    pixels[at] = Math.max(0, Math.min(255, pixels[at] + noise));
  }
}

/* FNV-1a of red, green and blue. */
function fingerprint(pixels) {
  let hash = 0x811c9dc5;
  for (let at = 0; at < pixels.length; at++)
    if (at % 4 !== 3) hash = Math.imul(hash ^ pixels[at], 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}

/* Adds each row's spikes to a map of at most 64 x 64 cells. */
function mapper(about, width, height) {
  const maps = about.populations.slice(0, -1).map((one) => {
    const wide = Math.ceil(width / about.unitWidth) * one.width;
    const high = Math.ceil(height / about.unitHeight) * one.height;
    const step = Math.ceil(Math.max(wide, high) / 64);
    const size = { width: Math.ceil(wide / step), height: Math.ceil(high / step) };
    const neurons = wide * high * one.channels * about.timesteps * about.passes;
    return { name: one.name, step, neurons, ...size, cells: new Uint32Array(size.width * size.height) };
  });
  const onRow = ({ population, row, spikes, count, channels, pixel }) => {
    if (!spikes) return;
    const map = maps[population], start = Math.floor(row / map.step) * map.width;
    for (let x = 0; x < count; x++) {
      let fired = 0;
      for (let channel = 0; channel < channels; channel++) fired += spikes[x * pixel + channel] !== 0;
      map.cells[start + Math.floor(x / map.step)] += fired;
    }
  };
  return { maps, onRow };
}

async function answer({ id, student, pixels, width, height, sigma, seed }) {
  if (!students.has(student.name)) {
    const bytes = Uint8Array.from(atob(student.wasm), (letter) => letter.charCodeAt(0));
    students.set(student.name, await SnnNetwork.from(student.about, bytes));
  }
  const network = students.get(student.name);
  if (network.about.channels === 1) toGrey(pixels);
  if (sigma) addNoise(pixels, sigma, seed, network.about.channels);
  const onProgress = (done, of) => done % 32 === 0 && postMessage({ id, progress: done / of });
  const started = performance.now();
  const restored = network.restore(pixels, width, height, { spikes: false, onProgress });
  const ms = performance.now() - started;
  const noisy = { noisy: pixels, input: fingerprint(pixels) };
  postMessage({ id, ...noisy, restored, output: fingerprint(restored), ms, width, height, student: student.name });
  const { maps, onRow } = mapper(network.about, width, height);
  network.restore(pixels, width, height, { onRow });
  const counts = network.spikes();
  postMessage({ id, maps: maps.map((map, place) => ({ ...map, spikes: counts[place].spikes })) });
}

onmessage = ({ data }) => {
  if (data.table) table = data.table;
  else answer(data).catch((error) => postMessage({ id: data.id, error: String(error) }));
};
