/* Runs inputs through an export's own module: check.mjs EXPORT TAPS CHAINED INPUTS WIDTH HEIGHT FOLDER.
 *
 * Reads FOLDER/tiles, int16 [input]([timestep])[row][column][channel], and writes readout and, with TAPS 1,
 * membranes.N and spikes.N, [timestep][input][row][column][channel].
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [exported, taps, , inputsWord, , , folder] = process.argv.slice(2);
const inputs = Number(inputsWord);
const { about, load } = await import(pathToFileURL(resolve(exported, "snn.js")));
const network = await load();
const raw = readFileSync(join(folder, "tiles"));
const integers = new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const size = integers.length / inputs;
const kept = (taps === "1" ? about.populations : []).map(({ channels, height, width }) => {
  const count = channels * height * width, all = about.timesteps * inputs * count;
  return { count, membranes: new Int32Array(all), spikes: new Int8Array(all) };
});
let input = 0;
const onStep = ({ population, timestep, membranes, spikes }) => {
  const held = kept[population], at = (timestep * inputs + input) * held.count;
  held.membranes.set(membranes, at);
  if (spikes) held.spikes.set(spikes, at);
};
const readouts = [];
for (; input < inputs; input++) {
  const given = integers.subarray(input * size, (input + 1) * size);
  const found = network.run(given, taps === "1" ? { onStep } : {});
  readouts.push(new Uint8Array(found[found.length - 1].buffer));
}
writeFileSync(join(folder, "readout"), Buffer.concat(readouts));
kept.forEach((held, place) => {
  writeFileSync(join(folder, `membranes.${place}`), new Uint8Array(held.membranes.buffer));
  writeFileSync(join(folder, `spikes.${place}`), new Uint8Array(held.spikes.buffer));
});
