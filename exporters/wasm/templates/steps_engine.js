/* Runs a network that snn-tool compiled, one timestep at a time: integers only, the same on every machine. */
class SnnNetwork {
  /* `about` is the network's description; `bytes` are those of its WebAssembly. */
  constructor(about, instance) {
    this.about = about;
    this.wasm = instance.exports;
    this.onStep = null;
    this.buffer = (this.wasm.heap() + 15) & ~15;
    this.bytes = this.wasm.buffer_bytes();
    this.place = (this.buffer + this.bytes + 15) & ~15;
    const { inputs, outputs } = about;
    this.inputs = inputs.height * inputs.width * inputs.channels;
    this.outputs = outputs.height * outputs.width * outputs.channels;
    const missing = this.place + 2 * this.inputs - this.wasm.memory.buffer.byteLength;
    if (missing > 0) this.wasm.memory.grow(Math.ceil(missing / 65536));
    this.reset();
  }

  static async from(about, bytes) {
    let network = null;
    const step = (...words) => network.seeStep(...words);
    const { instance } = await WebAssembly.instantiate(bytes, { snn: { step } });
    network = new SnnNetwork(about, instance);
    return network;
  }

  seeStep(population, timestep, membranes, spikes) {
    const { name, channels, height, width } = this.about.populations[population];
    const memory = this.wasm.memory.buffer, count = channels * height * width;
    const fired = spikes ? new Int8Array(memory, spikes, count) : null;
    this.onStep({ population, name, timestep, membranes: new Int32Array(memory, membranes, count), spikes: fired });
  }

  /* Back to rest, with no spikes counted. */
  reset(options = {}) {
    this.onStep = options.onStep || null;
    const watch = options.onStep ? 2 : options.spikes === false ? 0 : 1;
    this.wasm.begin(this.buffer, this.bytes, watch);
  }

  /* One timestep: integers [height][width][channels], or null; the read-out after it. */
  step(input = null) {
    if (input !== null) {
      if (input.length !== this.inputs) throw new RangeError(`${input.length} values, not ${this.inputs}`);
      const { low, high } = this.about.inputs;
      for (const value of input)
        if (!Number.isInteger(value) || value < low || value > high)
          throw new RangeError(`${value} is no integer from ${low} to ${high}`);
      new Int16Array(this.wasm.memory.buffer, this.place, this.inputs).set(input);
    }
    const status = this.wasm.step(input === null ? 0 : this.place);
    if (status < 0) throw new RangeError(`the network refuses the input (${status})`);
    return new Int32Array(this.wasm.memory.buffer, this.wasm.readout(), this.outputs).slice();
  }

  /* From rest through all timesteps: the read-out after each. One input that stays, or one after the other. */
  run(inputs, options = {}) {
    const { timesteps, overTime } = this.about, wanted = this.inputs * (overTime ? timesteps : 1);
    if (inputs.length !== wanted) throw new RangeError(`${inputs.length} values, not ${wanted}`);
    this.reset(options);
    const readouts = [];
    for (let at = 0; at < timesteps; at++) {
      const given = overTime ? inputs.subarray(at * this.inputs, (at + 1) * this.inputs) : at ? null : inputs;
      readouts.push(this.step(given));
    }
    return readouts;
  }

  /* Place of the largest read-out, the first of equal ones: the class, of a classifier. */
  largest() {
    return this.wasm.largest();
  }

  /* Nonzero spikes of every population since the reset; the read-out, which has none, is left out. */
  spikes() {
    const { populations } = this.about;
    const counts = new Uint32Array(this.wasm.memory.buffer, this.wasm.spikes(), populations.length);
    return populations.slice(0, -1).map(({ name }, place) => ({ name, spikes: counts[place] }));
  }
}
