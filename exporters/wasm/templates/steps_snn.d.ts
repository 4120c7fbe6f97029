export interface Population {
  name: string;
  channels: number;
  width: number;
  height: number;
}

export interface About {
  /** Of one timestep, with the ends of its range. */
  inputs: { height: number; width: number; channels: number; low: number; high: number };
  outputs: { height: number; width: number; channels: number };
  timesteps: number;
  /** Another input at each timestep; otherwise the same at all. */
  overTime: boolean;
  populations: Population[];
}

/** A population after a timestep; the arrays are valid during the call alone. */
export interface Step {
  population: number;
  name: string;
  timestep: number;
  /** [height][width][channels] after the reset. */
  membranes: Int32Array;
  /** 0 or 1; null for the read-out. */
  spikes: Int8Array | null;
}

export interface Options {
  /** false leaves the spikes uncounted. */
  spikes?: boolean;
  onStep?: (step: Step) => void;
}

export class SnnNetwork {
  readonly about: About;
  static from(about: About, bytes: BufferSource): Promise<SnnNetwork>;
  /** Back to rest. */
  reset(options?: Options): void;
  /**
   * One timestep: integers [height][width][channels]. null is a timestep in which nothing arrives or, of an input that
   * stays, the one before again. Returns the read-out after it. Throws RangeError.
   */
  step(input?: Int16Array | number[] | null): Int32Array;
  /** From rest through all timesteps; the read-out after each. Throws RangeError. */
  run(inputs: Int16Array, options?: Options): Int32Array[];
  /** Place of the largest read-out, the first of equal ones. */
  largest(): number;
  /** Nonzero spikes of each population since the reset. */
  spikes(): { name: string; spikes: number }[];
}

export const about: About;

/** The network of snn.wasm, from a URL, bytes, or the file beside snn.js. */
export function load(source?: string | URL | BufferSource): Promise<SnnNetwork>;
