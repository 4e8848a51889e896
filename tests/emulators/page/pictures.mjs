// Takes pictures of messages and views as the page shows them: `node pictures.mjs EMULATOR_URL WORK.json`.
// WORK.json holds `{"folder": DIR, "shots": [{"name", "address": "?user=U1#C1", "of": "messages" | "home" | "modal", "count": 1}]}`. Each becomes
// `DIR/name.png`; one line of JSON says what was seen: `{"name", "text", "width", "height", "colours", "bytes"}`.
// Leaves with another status than 0 where the page broke or something did not appear.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { browser, launch } from "./browser.mjs";
import { fewColours } from "./png.mjs";

const [base, work] = process.argv.slice(2);
if (!work) {
  console.error("usage: node pictures.mjs EMULATOR_URL WORK.json");
  process.exit(2);
}
const { folder, shots } = JSON.parse(readFileSync(work, "utf8"));
/** What is longer is cut off below. */
const MOST_HIGH = 640;
const PATIENCE = 30_000;

const machine = await launch(browser());
const context = await machine.newContext({ viewport: { width: 660, height: 1000 }, timezoneId: "UTC", locale: "en-GB", colorScheme: "light" });
const darkroom = await context.newPage();
let broken = 0;

for (const shot of shots) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => (broken++, console.error(`${shot.name}: page error: ${error.stack}`)));
  try {
    await page.goto(`${base}/${shot.address}`);
    console.log(JSON.stringify({ name: shot.name, ...(await take(page, shot)) }));
  } catch (error) {
    broken++;
    console.error(`${shot.name}: ${error.message}`);
  }
  await page.close();
}
await machine.close();
process.exit(broken ? 1 : 0);

async function take(page, { name, of, count }) {
  const nodes = page.locator({ messages: "#channel-list .message", home: ".home-body", modal: "dialog.modal" }[of]);
  await nodes.nth(count - 1).waitFor();
  await page.evaluate(() => document.fonts.ready);
  // Bars and cursors come and go with the pointer.
  await page.mouse.move(0, 0);
  await nodes.first().evaluate((node) => (document.activeElement?.blur(), node.scrollIntoView({ block: "start" })));
  const boxes = await nodes.evaluateAll((all) => all.map((node) => node.getBoundingClientRect().toJSON()));
  const texts = await nodes.evaluateAll((all) => all.map((node) => node.innerText));
  const [top, left] = [Math.min(...boxes.map((box) => box.top)), Math.min(...boxes.map((box) => box.left))];
  const width = Math.ceil(Math.max(...boxes.map((box) => box.right)) - left);
  const foot = await page.locator("#channel-list .scroller").evaluate((node) => node.getBoundingClientRect().bottom);
  const bottom = Math.min(Math.max(...boxes.map((box) => box.bottom)), of === "messages" ? foot : Infinity);
  const height = Math.floor(Math.min(bottom - top, MOST_HIGH));
  const taken = await page.screenshot({ clip: { x: left, y: top, width, height }, animations: "disabled", caret: "hide" });
  const pixels = await darkroom.evaluate(develop, taken.toString("base64"));
  const { png, colours } = fewColours(width, height, Buffer.from(pixels, "base64"));
  writeFileSync(join(folder, `${name}.png`), png);
  return { text: texts.join("\n"), width, height, colours, bytes: png.length };
}

/** In the browser: the picture's pixels as red, green, blue, opacity. */
async function develop(picture) {
  const image = new Image();
  image.src = `data:image/png;base64,${picture}`;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const pen = canvas.getContext("2d");
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, image.width, image.height);
  let text = "";
  for (let at = 0; at < data.length; at += 0x8000) text += String.fromCharCode(...data.subarray(at, at + 0x8000));
  return btoa(text);
}
