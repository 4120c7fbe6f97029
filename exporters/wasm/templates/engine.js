/* Runs a network that snn-tool compiled: rows go in, rows come out, integers only, the same on every machine. */
class SnnNetwork {
  /* `about` is the network's description; `bytes` are those of its WebAssembly. */
  constructor(about, instance) {
    this.about = about;
    this.wasm = instance.exports;
    this.onRow = null;
  }

  static async from(about, bytes) {
    let network = null;
    const row = (...words) => network.seeRow(...words);
    const { instance } = await WebAssembly.instantiate(bytes, { snn: { row } });
    network = new SnnNetwork(about, instance);
    return network;
  }

  seeRow(population, timestep, row, membranes, spikes, count, pixel, pass) {
    const { name, channels } = this.about.populations[population];
    const memory = this.wasm.memory.buffer;
    const fired = spikes ? new Int8Array(memory, spikes, (count - 1) * pixel + channels) : null;
    const held = new Int32Array(memory, membranes, count * channels);
    this.onRow({ population, name, timestep, row, membranes: held, spikes: fired, count, channels, pixel, pass });
  }

  /* Room for a row of each kind behind the network's own buffer. */
  begin(width, watch, begin) {
    const { about, wasm } = this, inputs = about.channels * (about.passes > 1 ? 2 : 1);
    if (!Number.isInteger(width) || width < 1 || width > 65536) throw new RangeError(`width ${width}`);
    const units = Math.ceil(width / about.unitWidth);
    const values = Math.max(units * about.outWidth * about.outChannels, width * inputs);
    const bytes = wasm.buffer_bytes(width);
    const buffer = (wasm.heap() + 15) & ~15;
    const row = (buffer + bytes + 15) & ~15;
    const given = row + 2 * values;
    const readout = (given + values + 15) & ~15;
    const missing = readout + 4 * values - wasm.memory.buffer.byteLength;
    if (missing > 0) wasm.memory.grow(Math.ceil(missing / 65536));
    SnnNetwork.check(begin(buffer, bytes, width, watch));
    const made = (about.sameSize ? width : units * about.outWidth) * about.outChannels;
    this.places = { row, given, readout, made };
  }

  static check(status) {
    if (status < 0) throw new RangeError(`the network refuses the image (${status})`);
  }

  /* The row that is ready, if any: its bytes and its integers, valid until the next call. */
  pop(pop) {
    const { given, readout, made } = this.places, memory = this.wasm.memory.buffer;
    if (!pop(given, readout)) return null;
    return { bytes: new Uint8Array(memory, given, made), readout: new Int32Array(memory, readout, made) };
  }

  /* Feeds rows by `put(y)`, which fills the place of a row, and gives every row that comes out to `take`.
   * `push` is the name of the function that takes rows; `one` is "_pass" for one pass of several, else "". */
  stream(width, height, watch, put, push, take, one = "") {
    const { wasm } = this, pop = wasm[`pop${one}`];
    this.begin(width, watch, wasm[`begin${one}`]);
    const drain = () => {
      for (let out = this.pop(pop); out; out = this.pop(pop)) take(out);
    };
    for (let y = 0; y < height; y++) {
      put(y);
      SnnNetwork.check(wasm[`${push}${one}`](this.places.row));
      drain();
    }
    SnnNetwork.check(wasm[`finish${one}`]());
    drain();
  }

  /* Restores pixels of 1, 3 or 4 bytes (the fourth, alpha, is kept); the answer has as many. A network for grey takes
   * red of four bytes, and its answer stands in all three colours. */
  restore(pixels, width, height, options = {}) {
    const channels = this.about.channels, stride = pixels.length / (width * height);
    if (!(stride === channels || (stride === 4 && (channels === 3 || channels === 1))))
      throw new RangeError(`${pixels.length} bytes are no ${width} x ${height} pixels of ${channels} channels`);
    if (!this.about.sameSize) throw new RangeError("this network gives no image; use run");
    const restored = new Uint8Array(pixels);
    this.onRow = options.onRow || null;
    const put = (y) => {
      const target = new Uint8Array(this.wasm.memory.buffer, this.places.row, width * channels);
      const from = y * width * stride;
      if (stride === channels) target.set(pixels.subarray(from, from + width * channels));
      else
        for (let x = 0, at = from, to = 0; x < width; x++, at += 4)
          for (let channel = 0; channel < channels; channel++) target[to++] = pixels[at + channel];
    };
    let done = 0;
    const take = ({ bytes }) => {
      const to = done++ * width * stride;
      if (stride === channels) restored.set(bytes, to);
      else
        for (let x = 0, at = to; x < width; x++, at += 4)
          for (let channel = 0; channel < 3; channel++)
            restored[at + channel] = bytes[x * channels + Math.min(channel, channels - 1)];
      if (options.onProgress) options.onProgress(done, height);
    };
    const watch = options.onRow ? 2 : options.spikes === false ? 0 : 1;
    this.stream(width, height, watch, put, "push_row", take);
    return restored;
  }

  /* Runs integers of the network's grid [height][width][channels]; its bytes and read-outs row after row.
   * With `onePass` a network of several passes runs once, on the image and behind it a result. */
  run(integers, width, height, options = {}) {
    const one = options.onePass && this.about.passes > 1 ? "_pass" : "", rows = [];
    const values = width * this.about.channels * (one ? 2 : 1);
    this.onRow = options.onRow || null;
    const put = (y) => {
      const target = new Int16Array(this.wasm.memory.buffer, this.places.row, values);
      target.set(integers.subarray(y * values, (y + 1) * values));
    };
    const take = ({ bytes, readout }) => rows.push({ bytes: bytes.slice(), readout: readout.slice() });
    this.stream(width, height, options.onRow ? 2 : 1, put, "push_integers", take, one);
    return rows;
  }

  /* Nonzero spikes of every population in the last run; the read-out, which has none, is left out. */
  spikes() {
    const { populations } = this.about;
    const counts = new Uint32Array(this.wasm.memory.buffer, this.wasm.spikes(), populations.length);
    return populations.slice(0, -1).map(({ name }, place) => ({ name, spikes: counts[place] }));
  }
}
