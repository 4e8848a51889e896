// Drives the page in a real browser against a running emulator: `node check.mjs http://127.0.0.1:7400 [--shots DIR] [--app]`.
// Leaves with 0 only if everything held. The app under test need not be connected: interactions are judged by what the page sends. With `--app`
// the app of `tests/conformance/page.rs` answers, and windows and the Home tab are walked through as well.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { browser, launch } from "./browser.mjs";

const base = process.argv[2]?.replace(/\/$/, "");
if (!base) {
  console.error("usage: node check.mjs EMULATOR_URL [--shots DIR] [--app]");
  process.exit(2);
}
const shots = process.argv.includes("--shots") ? process.argv[process.argv.indexOf("--shots") + 1] : null;
if (shots) mkdirSync(shots, { recursive: true });
const chromium = browser();
const token = process.env.SLACK_BOT_TOKEN ?? "xoxb-emulated-bot-token";

async function answerOf(response) {
  const body = await response.json();
  assert.ok(body.ok, `${response.url}: ${JSON.stringify(body)}`);
  return body;
}
const send = (path, body, headers = {}) =>
  fetch(`${base}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json; charset=utf-8", ...headers },
    body: JSON.stringify(body),
  }).then(answerOf);
const asApp = (method, body) => send(`/api/${method}`, body, { authorization: `Bearer ${token}` });
const asPerson = (path, body) => send(`/client/${path}`, body);

const state = await (await fetch(`${base}/client/state`)).json();
const rooms = state.channels.filter((channel) => !channel.is_im && !channel.is_archived && !channel.is_private);
const shared = rooms.filter(
  (channel) => channel.members.includes(state.bot_user_id) && state.people.some((id) => channel.members.includes(id)),
);
assert.ok(shared.length >= 2, "the workspace has two channels with the app and people");
const [room, elsewhere] = shared;
const [me, other] = state.people.filter((id) => room.members.includes(id) && elsewhere.members.includes(id));
const nameOf = (id) => state.users.find((user) => user.id === id).real_name;
const mark = `check-${Date.now().toString(36)}`;
const plain = (text) => ({ type: "plain_text", text });
const made = [];

const machine = await launch(chromium);
let failed = 0;

async function open(options = {}, path = `?user=${me}#${room.id}`) {
  const context = await machine.newContext({ viewport: { width: 1400, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => (failed++, console.error(`page error: ${error.stack}`)));
  page.on("console", (line) => /Content Security Policy/.test(line.text()) && (failed++, console.error(line.text())));
  page.on("request", (request) => {
    if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) (failed++, console.error(`a request to ${request.url()}`));
  });
  await page.goto(`${base}/${path}`);
  await page.locator("#channel-head .channel-title").waitFor();
  return page;
}

async function step(name, run) {
  try {
    await run();
    console.log(`ok    ${name}`);
  } catch (error) {
    failed++;
    console.error(`FAILED ${name}\n${error.stack}`);
    if (shots) await page.screenshot({ path: join(shots, `failed-${failed}.png`) });
  }
}

const page = await open();
const list = page.locator("#channel-list");
const thread = page.locator("#thread-list");
const box = page.locator("#composer textarea");
const inList = (text) => list.locator(".message", { hasText: text });
const shot = (name, of = page) => (shots ? of.screenshot({ path: join(shots, `${name}.png`) }) : undefined);

await step("shows workspace, channels and whom one acts as", async () => {
  assert.equal(await page.locator("#sidebar h1").innerText(), state.team.name);
  assert.ok(await page.locator(`#sidebar [data-channel="${elsewhere.id}"]`).isVisible());
  assert.match(await page.locator("#switcher").innerText(), new RegExp(nameOf(me).split(" ")[0]));
});

await step("sends what is typed, as text and never as markup", async () => {
  await box.fill(`${mark} *bold* <img src=x onerror=alert(1)> & <script>document.title="hit"</script>`);
  await box.press("Enter");
  const sent = inList(`${mark} bold <img src=x onerror=alert(1)>`);
  await sent.waitFor();
  assert.equal(await sent.locator("strong").innerText(), "bold");
  assert.equal(await sent.locator("img, script").count(), 0);
  assert.equal(await box.inputValue(), "");
  made.push(await sent.getAttribute("data-ts"));
});

await step("completes the app's name", async () => {
  const app = state.users.find((user) => user.id === state.bot_user_id);
  await box.pressSequentially(`@${app.name.slice(0, 4)}`);
  const offer = page.locator("#composer [role=option]").first();
  await offer.waitFor();
  assert.match(await offer.innerText(), new RegExp(app.name));
  await box.press("Enter");
  assert.equal(await box.inputValue(), `@${app.name} `);
  await box.fill("");
});

await step("edits, reacts and deletes from a message's own bar", async () => {
  const message = list.locator(`[data-ts="${made[0]}"]`);
  await message.hover();
  await message.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Edit message" }).click();
  await message.locator("textarea").fill(`${mark} edited`);
  await message.getByRole("button", { name: "Save" }).click();
  await message.locator(".edited").waitFor();
  await message.hover();
  await message.getByRole("button", { name: "React with eyes" }).click();
  const pill = message.locator(".reaction[aria-pressed=true]");
  await pill.waitFor();
  await pill.click();
  await pill.waitFor({ state: "detached" });
  await message.hover();
  await message.getByRole("button", { name: "More actions" }).click();
  await page.getByRole("menuitem", { name: "Delete message…" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await message.waitFor({ state: "detached" });
  made.shift();
});

await step("shows what others write at once, and stays at the foot", async () => {
  const { ts } = await asPerson("post", { user: other, channel: room.id, text: `${mark} from somebody else` });
  made.push(ts);
  await inList(`${mark} from somebody else`).waitFor();
  const gap = await list.locator(".scroller").evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight);
  assert.ok(gap < 60, `the foot is ${gap} px away`);
});

await step("opens a thread, replies in it and counts the replies", async () => {
  const root = list.locator(`[data-ts="${made.at(-1)}"]`);
  await root.hover();
  await root.getByRole("button", { name: "Reply in thread" }).click();
  const reply = page.locator("#thread-composer textarea");
  await reply.fill(`${mark} a reply`);
  await reply.press("Enter");
  await thread.locator(".message", { hasText: `${mark} a reply` }).waitFor();
  await root.locator(".reply-count", { hasText: "1 reply" }).waitFor();
  await reply.fill(`${state.app.slash_commands[0] ?? "/none"} status`);
  await reply.press("Enter");
  await thread.locator(".ephemeral", { hasText: "not supported in threads" }).waitFor();
  await thread.locator(".ephemeral .dismiss").click();
  await thread.locator(".ephemeral").waitFor({ state: "detached" });
  await reply.press("Escape");
  await page.locator("#thread").waitFor({ state: "hidden" });
});

await step("refuses a command that nobody has", async () => {
  await box.fill("/no-such-command x");
  await box.press("Enter");
  await list.locator(".ephemeral", { hasText: "/no-such-command is not a valid command" }).waitFor();
  await list.locator(".ephemeral .dismiss").last().click();
});

await step("renders blocks and sends what is pressed and chosen", async () => {
  const options = ["alpha", "beta"].map((value) => ({ text: plain(value), value }));
  const { ts } = await asApp("chat.postMessage", {
    channel: room.id,
    text: mark,
    blocks: [
      { type: "header", text: plain(`${mark} blocks`) },
      { type: "section", text: { type: "mrkdwn", text: `*bold* <@${me}> \`code\`` }, fields: [{ type: "mrkdwn", text: "*A*\nb" }] },
      { type: "divider" },
      { type: "markdown", text: "# Title\n\n- item\n\n| a | b |\n|---|---|\n| 1 | <b>2</b> |\n\n[bad](javascript:alert(1))" },
      {
        type: "actions",
        block_id: "row",
        elements: [
          {
            type: "button",
            action_id: "go",
            text: plain("Go on"),
            style: "primary",
            value: "v",
            confirm: { title: plain("Sure?"), text: plain("Really?"), confirm: plain("Do it"), deny: plain("No") },
          },
          { type: "static_select", action_id: "pick", placeholder: plain("Pick"), options },
        ],
      },
    ],
  });
  made.push(ts);
  const message = list.locator(`[data-ts="${ts}"]`);
  await message.locator(".block-header", { hasText: `${mark} blocks` }).waitFor();
  assert.equal(await message.locator(".badge").count(), (await message.getAttribute("class")).includes("compact") ? 0 : 1);
  assert.equal(await message.locator(".markdown td").last().innerText(), "<b>2</b>");
  assert.equal(await message.locator("a[href^=javascript]").count(), 0);
  await message.getByRole("button", { name: "Go on" }).click();
  const pressed = page.waitForRequest((request) => request.url().endsWith("/client/action"));
  await page.getByRole("dialog").getByRole("button", { name: "Do it" }).click();
  assert.deepEqual((await pressed).postDataJSON(), { user: me, channel: room.id, ts, action_id: "go", block_id: "row" });
  await message.locator(".select").click();
  await page.locator(".chooser input").fill("be");
  await page.locator(".choice.active", { hasText: "beta" }).waitFor();
  const chosen = page.waitForRequest((request) => request.url().endsWith("/client/action"));
  await page.keyboard.press("Enter");
  assert.deepEqual((await chosen).postDataJSON().value, options[1]);
  await shot("blocks");
});

await step("shows what is for one person to that person alone", async () => {
  const words = `${mark} for you alone`;
  const said = (user) => asApp("chat.postEphemeral", { channel: room.id, user, text: words, blocks: [{ type: "section", text: plain(words) }] });
  await said(me);
  const hidden = list.locator(".ephemeral", { hasText: words });
  await hidden.waitFor();
  assert.match(await hidden.innerText(), /Only visible to you/);
  const neighbour = await open({}, `?user=${other}#${room.id}`);
  const { ts } = await asApp("chat.postMessage", { channel: room.id, text: `${mark} for all` });
  made.push(ts);
  await neighbour.locator("#channel-list .message", { hasText: `${mark} for all` }).waitFor();
  assert.equal(await neighbour.locator(".ephemeral", { hasText: words }).count(), 0);
  await neighbour.context().close();
  await hidden.locator(".dismiss").click();
  await hidden.waitFor({ state: "detached" });
});

/** One red pixel. */
const PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const seen = (image) => image.evaluate(async (node) => (await node.decode(), node.naturalWidth));

await step("sends files, and shows pictures and texts", async () => {
  await page.locator("#composer input[type=file]").setInputFiles([
    { name: "screen.png", mimeType: "image/png", buffer: Buffer.from(PICTURE, "base64") },
    { name: "log.txt", mimeType: "text/plain", buffer: Buffer.from(Array.from({ length: 12 }, (_, n) => `line ${n}`).join("\n")) },
  ]);
  await page.locator("#composer .file-chip", { hasText: "screen.png" }).waitFor();
  await page.locator("#composer .file-chip", { hasText: "log.txt" }).waitFor();
  await box.fill(`${mark} with files`);
  await box.press("Enter");
  const sent = inList(`${mark} with files`);
  const image = sent.locator(".file.picture img");
  await image.waitFor();
  assert.equal(await seen(image), 1);
  await sent.locator(".with-preview", { hasText: "line 7" }).waitFor();
  await sent.getByRole("button", { name: "Show all 12 lines" }).click();
  await sent.locator(".with-preview", { hasText: "line 11" }).waitFor();
  made.push(await sent.getAttribute("data-ts"));
});

await step("shows a file of the app's in a thread, and a block with it", async () => {
  const root = made.at(-1);
  const content = Buffer.from(PICTURE, "base64");
  const form = new URLSearchParams({ filename: "after.png", length: String(content.length) });
  const headers = { authorization: `Bearer ${token}` };
  const reserved = await fetch(`${base}/api/files.getUploadURLExternal`, { method: "POST", headers, body: form }).then(answerOf);
  const upload = await fetch(reserved.upload_url, { method: "POST", body: content });
  assert.ok(upload.ok, `the upload was answered ${upload.status}`);
  await asApp("files.completeUploadExternal", { files: [{ id: reserved.file_id, title: "After" }], channel_id: room.id, thread_ts: root });
  const block = { type: "image", slack_file: { id: reserved.file_id }, alt_text: "how it looks now" };
  await asApp("chat.postMessage", { channel: room.id, thread_ts: root, text: `${mark} with a picture`, blocks: [block] });
  await list.locator(`[data-ts="${root}"] .reply-bar`).click();
  const attached = thread.getByRole("button", { name: "Enlarge After" }).locator("img");
  await attached.waitFor();
  assert.equal(await seen(attached), 1);
  const shown = thread.locator("img[alt='how it looks now']");
  await shown.waitFor();
  assert.equal(await seen(shown), 1);
  await page.locator("#thread-head").getByRole("button", { name: "Close thread" }).click();
});

await step("has the app's shortcuts in a message's menu", async () => {
  const [shortcut] = state.app.message_shortcuts;
  const message = list.locator(`[data-ts="${made.at(-1)}"]`);
  await message.hover();
  await message.getByRole("button", { name: "More actions" }).click();
  const called = page.waitForRequest((request) => request.url().endsWith("/client/shortcut"));
  await page.getByRole("menuitem", { name: shortcut.name }).click();
  const wanted = { user: me, callback_id: shortcut.callback_id, channel: room.id, ts: made.at(-1) };
  assert.deepEqual((await called).postDataJSON(), wanted);
});

if (process.argv.includes("--app")) {
  await step("fills in a window, with a choice, a text and an error that the app finds", async () => {
    const modal = page.locator("dialog.modal");
    await modal.getByRole("heading", { name: "Ask about this" }).waitFor();
    const ask = modal.getByRole("button", { name: "Ask", exact: true });
    await ask.click();
    await modal.locator(".input-error", { hasText: "required" }).first().waitFor();
    await modal.locator(".select").click();
    await page.locator(".choice", { hasText: "acme/web" }).click();
    await modal.locator("textarea").fill("no");
    await ask.click();
    await modal.locator(".input-error", { hasText: "Say a little more." }).waitFor();
    assert.equal(await modal.locator("textarea").inputValue(), "no");
    await modal.locator("textarea").fill(`${mark} is late`);
    await shot("window");
    await ask.click();
    await modal.waitFor({ state: "detached" });
    const asked = inList(`asks acme/web: ${mark} is late`);
    await asked.waitFor();
    made.push(await asked.getAttribute("data-ts"));
  });

  await step("shows the Home tab, with a button that asks first and a list to choose from", async () => {
    const im = state.channels.find((channel) => channel.is_im && channel.user === me);
    await page.locator(`#sidebar [data-channel="${im.id}"]`).click();
    await page.getByRole("tab", { name: "Home" }).click();
    const home = page.locator(".home-body");
    await home.locator(".block-header", { hasText: "Your sessions" }).waitFor();
    const stop = home.getByRole("button", { name: "Stop session" });
    await stop.click();
    await page.getByRole("dialog").getByRole("button", { name: "Leave it" }).click();
    await home.getByText("Working").waitFor();
    await stop.click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop", exact: true }).click();
    await home.getByText("Stopped").waitFor();
    await home.locator(".select").click();
    await page.locator(".choice", { hasText: "small" }).click();
    await home.getByText("acme/shop small").waitFor();
    await shot("home");
    await page.locator(`#sidebar [data-channel="${room.id}"]`).click();
  });
}

await step("marks a channel unread, and clears it when it is opened", async () => {
  const { ts } = await asPerson("post", {
    user: other,
    channel: elsewhere.id,
    text: `${mark} over here @${state.users.find((user) => user.id === me).name}`,
  });
  const row = page.locator(`#sidebar [data-channel="${elsewhere.id}"]`);
  await row.and(page.locator(".unread")).waitFor();
  assert.equal(await row.locator(".count").innerText(), "1");
  await row.click();
  await inList(`${mark} over here`).waitFor();
  assert.ok(!(await row.getAttribute("class")).includes("unread"));
  await asPerson("delete", { user: other, channel: elsewhere.id, ts });
  await page.locator(`#sidebar [data-channel="${room.id}"]`).click();
});

await step("acts as somebody else", async () => {
  await page.locator(".switcher").click();
  await page.getByRole("menuitem", { name: nameOf(other) }).click();
  await page.locator(".switcher", { hasText: nameOf(other).split(" ")[0] }).waitFor();
  await box.fill(`${mark} as another`);
  await box.press("Enter");
  const sent = inList(`${mark} as another`);
  await sent.waitFor();
  const ts = await sent.getAttribute("data-ts");
  const { messages } = await (await fetch(`${base}/client/channels/${room.id}/messages`)).json();
  assert.equal(messages.find((message) => message.ts === ts).user, other);
  await asPerson("delete", { user: other, channel: room.id, ts });
});

await step("fits a phone, and the dark", async () => {
  const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark" });
  const wide = await phone.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${wide} px too wide`);
  const row = phone.locator(`#sidebar [data-channel="${elsewhere.id}"]`);
  assert.ok(!(await row.isVisible()), "the sidebar is away at first");
  await phone.getByRole("button", { name: "Channels" }).click();
  await row.click();
  await phone.locator("#channel-head", { hasText: elsewhere.name }).waitFor();
  const light = await phone.evaluate(() => getComputedStyle(document.querySelector("#channel")).backgroundColor);
  assert.equal(light, "rgb(26, 29, 33)");
  await shot("phone", phone);
  await phone.context().close();
});

for (const ts of made) {
  const { messages } = await (await fetch(`${base}/client/channels/${room.id}/threads/${ts}`)).json();
  for (const message of (messages ?? []).reverse()) {
    if (message.bot_id) await asApp("chat.delete", { channel: room.id, ts: message.ts });
    else await asPerson("delete", { user: message.user, channel: room.id, ts: message.ts });
  }
}
await machine.close();
console.log(failed ? `${failed} failed` : "all held");
process.exit(failed ? 1 : 0);
