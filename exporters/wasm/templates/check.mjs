/* Runs tiles through an export's own module: check.mjs EXPORT TAPS CHAINED TILES WIDTH HEIGHT FOLDER.
 *
 * Reads FOLDER/tiles, int16 [tile][row][column][channel], and writes readout, bytes and, with TAPS 1, membranes.N
 * and spikes.N, [timestep][tile][row][column][channel]. Of several passes tiles are inputs of one; with CHAINED 1
 * they are images, all passes run, and populations are [timestep][pass][tile] and so on.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [exported, taps, chained, tilesWord, widthWord, heightWord, folder] = process.argv.slice(2);
const [tiles, width, height] = [tilesWord, widthWord, heightWord].map(Number);
const { about, load } = await import(pathToFileURL(resolve(exported, "snn.js")));
const network = await load();
const raw = readFileSync(join(folder, "tiles"));
const integers = new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const onePass = chained !== "1" && about.passes > 1, passes = onePass ? 1 : about.passes;
const size = width * height * about.channels * (onePass ? 2 : 1);
const layers = taps === "1" ? about.populations : [];
const units = [Math.ceil(width / about.unitWidth), Math.ceil(height / about.unitHeight)];
const kept = layers.map(({ channels, ...one }) => {
  const shape = { rows: one.height * units[1], row: one.width * units[0] * channels };
  const all = about.timesteps * passes * tiles * shape.rows * shape.row;
  return { ...shape, membranes: new Int32Array(all), spikes: new Int8Array(all) };
});
let tile = 0;
const onRow = ({ population, timestep, row, membranes, spikes, count, channels, pixel, pass }) => {
  const held = kept[population];
  const at = (((timestep * passes + pass) * tiles + tile) * held.rows + row) * held.row;
  held.membranes.set(membranes, at);
  if (!spikes) return;
  if (pixel === channels) held.spikes.set(spikes, at);
  else
    for (let x = 0, to = at; x < count; x++)
      for (let channel = 0; channel < channels; channel++) held.spikes[to++] = spikes[x * pixel + channel];
};
const bytes = [], readouts = [];
for (; tile < tiles; tile++) {
  const options = taps === "1" ? { onRow, onePass } : { onePass };
  const rows = network.run(integers.subarray(tile * size, (tile + 1) * size), width, height, options);
  for (const row of rows) {
    bytes.push(row.bytes);
    readouts.push(new Uint8Array(row.readout.buffer));
  }
}
writeFileSync(join(folder, "bytes"), Buffer.concat(bytes));
writeFileSync(join(folder, "readout"), Buffer.concat(readouts));
kept.forEach((held, place) => {
  writeFileSync(join(folder, `membranes.${place}`), new Uint8Array(held.membranes.buffer));
  writeFileSync(join(folder, `spikes.${place}`), new Uint8Array(held.spikes.buffer));
});
