// A PNG of few colours: a quarter of the size, and the same to the eye for a page of text.

import { deflateSync } from "node:zlib";

const MOST_COLOURS = 64;
/** Grounds, letters and lines: these stay exactly as they are. */
const KEPT = 24;

/** From pixels of four bytes each. `colours` is how many the pixels had. */
export function fewColours(width, height, pixels) {
  const counts = new Map();
  const keyAt = (at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
  for (let at = 0; at < pixels.length; at += 4) counts.set(keyAt(at), (counts.get(keyAt(at)) ?? 0) + 1);
  const all = [...counts].sort((a, b) => b[1] - a[1]);
  const rest = all.slice(KEPT);
  const groups = [...all.slice(0, KEPT).map((colour) => [colour]), ...(rest.length ? halved(rest, MOST_COLOURS - KEPT) : [])];
  const palette = groups.map(commonest);
  const nearest = new Map([...counts.keys()].map((key) => [key, indexOf(palette, key)]));
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = nearest.get(keyAt((y * width + x) * 4));
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  // Eight bits a pixel, each an index of the palette.
  head.set([8, 3, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const [table, body] = [chunk("PLTE", Buffer.from(palette.flat())), chunk("IDAT", deflateSync(rows, { level: 9 }))];
  return { png: Buffer.concat([signature, chunk("IHDR", head), table, body, chunk("IEND", Buffer.alloc(0))]), colours: counts.size };
}

const SHIFTS = [16, 8, 0];
const part = (key, shift) => (key >> shift) & 0xff;

/** Median cut: the group with the widest spread is cut in two, until there are enough. */
function halved(all, most) {
  const groups = [spread(all)];
  while (groups.length < most) {
    groups.sort((a, b) => b.width - a.width);
    if (groups[0].width === 0) break;
    const { colours, shift } = groups.shift();
    colours.sort((a, b) => part(a[0], shift) - part(b[0], shift));
    const middle = colours.length >> 1;
    groups.push(spread(colours.slice(0, middle)), spread(colours.slice(middle)));
  }
  return groups.map((group) => group.colours);
}

function spread(colours) {
  let [width, shift] = [-1, 0];
  for (const candidate of SHIFTS) {
    const parts = colours.map(([key]) => part(key, candidate));
    const between = parts.reduce((a, b) => Math.max(a, b)) - parts.reduce((a, b) => Math.min(a, b));
    if (between > width) [width, shift] = [between, candidate];
  }
  return { colours, width, shift };
}

function commonest(colours) {
  // The one that most is painted in: a mean of several would be none of the page's.
  const [key] = colours.reduce((a, b) => (b[1] > a[1] ? b : a));
  return SHIFTS.map((shift) => part(key, shift));
}

function indexOf(palette, key) {
  let [best, least] = [0, Infinity];
  for (const [index, colour] of palette.entries()) {
    const distance = SHIFTS.reduce((sum, shift, at) => sum + (part(key, shift) - colour[at]) ** 2, 0);
    if (distance < least) [best, least] = [index, distance];
  }
  return best;
}

function chunk(kind, body) {
  const named = Buffer.concat([Buffer.from(kind, "latin1"), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, sum]);
}

/** As PNG wants it; zlib's own is not in every Node. */
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
  }
  return ~sum >>> 0;
}
