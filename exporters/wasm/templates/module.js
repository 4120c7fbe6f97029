
/* The network of snn.wasm, from a URL, bytes, or the file beside this one. */
export async function load(source = new URL("./snn.wasm", import.meta.url)) {
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return SnnNetwork.from(about, source);
  const url = new URL(source, import.meta.url);
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    return SnnNetwork.from(about, await readFile(url));
  }
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return SnnNetwork.from(about, await answer.arrayBuffer());
}

export { SnnNetwork };
