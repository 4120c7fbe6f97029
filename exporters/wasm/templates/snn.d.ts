/** A population of the network; sizes are per `unitWidth` columns and `unitHeight` rows of the image. */
export interface Population {
  name: string;
  channels: number;
  width: number;
  height: number;
}

export interface About {
  channels: number;
  outChannels: number;
  outWidth: number;
  unitWidth: number;
  unitHeight: number;
  sameSize: boolean;
  timesteps: number;
  /** How often the network runs on an image; spikes are counted over all passes. */
  passes: number;
  populations: Population[];
}

/** One row of a population at one timestep; the arrays are valid during the call alone. */
export interface Row {
  population: number;
  name: string;
  timestep: number;
  row: number;
  /** [count][channels] after the reset. */
  membranes: Int32Array;
  /** [count] pixels, `pixel` bytes apart; null for the read-out. */
  spikes: Int8Array | null;
  count: number;
  channels: number;
  pixel: number;
  /** 0 for the first. */
  pass: number;
}

export interface Options {
  /** false leaves the spikes uncounted. */
  spikes?: boolean;
  onRow?: (row: Row) => void;
  /** Of `run`: one pass of several, whose input is the image and behind it a result, both of `about.channels`. */
  onePass?: boolean;
  onProgress?: (rows: number, of: number) => void;
}

export class SnnNetwork {
  readonly about: About;
  static from(about: About, bytes: BufferSource): Promise<SnnNetwork>;
  /** Pixels of `about.channels` bytes, or RGBA, of which a network for grey takes red; the answer has the same layout.
   * Throws RangeError. */
  restore(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number, options?: Options): Uint8Array;
  /** Integers of the input grid, [height][width][channels]. Throws RangeError. */
  run(
    integers: Int16Array, width: number, height: number, options?: Options,
  ): { bytes: Uint8Array; readout: Int32Array }[];
  /** Nonzero spikes of each population in the last run, over all timesteps. */
  spikes(): { name: string; spikes: number }[];
}

export const about: About;

/** The network of snn.wasm, from a URL, bytes, or the file beside snn.js. */
export function load(source?: string | URL | BufferSource): Promise<SnnNetwork>;
