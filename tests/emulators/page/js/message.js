// One message as Slack shows it.

import { api } from "./api.js";
import { attachment, blocks, surface } from "./blocks.js";
import { h, icon, iconButton } from "./dom.js";
import { emoji } from "./emoji.js";
import { filesNode } from "./files.js";
import { emojiNode } from "./inline.js";
import { mrkdwn } from "./mrkdwn.js";
import { confirmDialog, emojiPicker, menu, toast } from "./popup.js";
import { colourOf, initials, store, userName } from "./store.js";
import { ago, clock, full } from "./time.js";

export function avatar(id, selector = "span.avatar") {
  const name = userName(id);
  const bot = store.users.get(id)?.is_bot;
  const node = h(
    bot ? `${selector}.bot` : selector,
    { "aria-hidden": "true" },
    id === "USLACKBOT" ? "S" : bot ? emoji("anchor") : initials(name),
  );
  node.style.background = colourOf(id);
  return node;
}

export const permalink = (channel, message) =>
  `${location.origin}/archives/${channel}/p${message.ts.replace(".", "")}${message.thread_ts && message.thread_ts !== message.ts ? `?thread_ts=${message.thread_ts}` : ""}`;

const JOINED = new Set(["channel_join", "channel_leave", "group_join", "group_leave"]);

/**
 * A message's node. `options`: `channel`, `place` ("channel" or "thread"), `compact` (without avatar and name), `editor` (a node instead of the
 * body), and what a person can do: `openThread(ts)`, `edit(ts)`, `dismissNotice(ts)`.
 */
export function messageNode(message, options) {
  const { compact } = options;
  const hidden = message.is_ephemeral;
  const author = message.user === "USLACKBOT" ? "Slackbot" : userName(message.user);
  const isApp = Boolean(message.bot_id) || message.user === "USLACKBOT";
  const time = h("a.time", { href: permalink(options.channel, message), title: full(message.ts) }, clock(message.ts));
  const node = h(
    `div.message${compact ? ".compact" : ""}${hidden ? ".ephemeral" : ""}${message.subtype === "tombstone" ? ".gone" : ""}`,
    { role: "article", tabindex: "-1", "aria-label": `${author}, ${clock(message.ts)}`, dataset: { ts: message.ts } },
    h("div.gutter", null, compact ? time : avatar(message.user)),
    h(
      "div.content",
      null,
      hidden && h("div.only-you", null, icon("eye"), "Only visible to you"),
      !compact && h("div.author-line", null, h("span.author", null, author), isApp && h("span.badge", null, "APP"), time),
      options.editor ?? bodyOf(message, options),
      reactions(message, options),
      hidden && h("button.dismiss", { type: "button", onclick: () => dismiss(message, options) }, "Dismiss"),
      options.place === "channel" && message.reply_count > 0 && replyBar(message, options),
    ),
  );
  if (!hidden && message.subtype !== "tombstone" && !options.editor) addToolbar(node, message, options);
  return node;
}

function bodyOf(message, options) {
  if (message.subtype === "tombstone") return h("div.body.muted", null, "This message was deleted.");
  if (JOINED.has(message.subtype)) return h("div.body.muted", null, mrkdwn(message.text));
  const where = surface({ channel: options.channel, ts: message.ts }, { key: `${options.channel}/${message.ts}` });
  const edited = message.edited && h("span.edited", { title: full(message.edited.ts) }, "(edited)");
  return [
    h(onlyEmoji(message) ? "div.body.jumbo" : "div.body", null, content(message, where), edited),
    (message.attachments ?? []).map((entry) => attachment(entry, where)),
    message.files?.length ? filesNode(message.files) : null,
  ];
}

/** A person's typed text keeps its marks in `text` alone; of an app the blocks count. */
function content(message, where) {
  const typedByPerson = message.client_msg_id && (message.blocks ?? []).every((block) => block.type === "rich_text");
  if (typedByPerson) return mrkdwn(message.text, { lists: true });
  return message.blocks?.length ? blocks(message.blocks, where) : mrkdwn(message.text ?? "");
}

const onlyEmoji = (message) =>
  message.client_msg_id && /^(?::[a-z0-9_+'-]+:\s*|\p{Extended_Pictographic}\ufe0f?\s*){1,8}$/iu.test(message.text ?? "");

function reactions(message, options) {
  if (!message.reactions?.length) return null;
  const toggle = (name, remove) =>
    api.react({ user: store.me, channel: options.channel, ts: message.ts, name, remove }).catch((error) => toast(error.message));
  const pills = message.reactions.map((reaction) => {
    const mine = reaction.users.includes(store.me);
    const who = reaction.users.map((user) => (user === store.me ? "You" : userName(user))).join(", ");
    return h(
      mine ? "button.reaction.mine" : "button.reaction",
      {
        type: "button",
        "aria-pressed": String(mine),
        title: `${who} reacted with :${reaction.name}:`,
        "aria-label": `${reaction.count} reactions with ${reaction.name}: ${who}`,
        onclick: () => toggle(reaction.name, mine),
      },
      emojiNode(reaction.name),
      h("span", null, String(reaction.count)),
    );
  });
  const add = iconButton("smile", "Add reaction", () => emojiPicker(add, (name) => toggle(name, false)), "button.reaction.add");
  return h("div.reactions", null, pills, add);
}

function replyBar(message, options) {
  const count = message.reply_count;
  return h(
    options.threadUnread ? "button.reply-bar.unread" : "button.reply-bar",
    { type: "button", onclick: () => options.openThread(message.ts) },
    h(
      "span.reply-faces",
      null,
      (message.reply_users ?? []).slice(0, 5).map((user) => avatar(user, "span.avatar.small")),
    ),
    h("span.reply-count", null, count === 1 ? "1 reply" : `${count} replies`),
    h("span.reply-last", null, `Last reply ${ago(message.latest_reply)}`),
    h("span.reply-open", { "aria-hidden": "true" }, "View thread"),
    icon("right"),
  );
}

async function dismiss(message, options) {
  if (message.local) return options.dismissNotice(message.ts);
  await api.dismiss({ user: store.me, channel: options.channel, ts: message.ts }).catch((error) => toast(error.message));
}

const QUICK = ["white_check_mark", "eyes", "raised_hands"];

/** The bar over a message's corner comes with the pointer or the focus, and goes with them. */
function addToolbar(node, message, options) {
  let bar = null;
  const show = () => {
    if (bar) return;
    bar = toolbar(node, message, options);
    node.append(bar);
  };
  const hide = () => {
    if (!bar || bar.querySelector("[aria-expanded=true]") || node.contains(document.activeElement) || node.matches(":hover")) return;
    bar.remove();
    bar = null;
  };
  node.addEventListener("pointerenter", show);
  node.addEventListener("focusin", show);
  node.addEventListener("pointerleave", () => setTimeout(hide, 0));
  node.addEventListener("focusout", () => setTimeout(hide, 0));
  node.addEventListener("keydown", (event) => {
    if (event.target !== node || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      r: () => bar?.querySelector(".react")?.click(),
      t: () => options.openThread?.(message.thread_ts ?? message.ts),
      e: () => isMine(message) && options.edit(message.ts),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
}

const isMine = (message) => Boolean(message.client_msg_id) && message.user === store.me;

function toolbar(node, message, options) {
  const react = (name) =>
    api.react({ user: store.me, channel: options.channel, ts: message.ts, name, remove: false }).catch((error) => toast(error.message));
  const quick = QUICK.map((name) =>
    h(
      "button.icon-button",
      {
        type: "button",
        title: `React with :${name}:`,
        "aria-label": `React with ${name.replaceAll("_", " ")}`,
        onclick: () => react(name),
      },
      emoji(name),
    ),
  );
  const add = iconButton("smile", "Add reaction", () => emojiPicker(add, react), "button.icon-button.react");
  add.setAttribute("aria-haspopup", "dialog");
  const reply = options.place === "channel" && iconButton("thread", "Reply in thread", () => options.openThread(message.ts));
  const more = iconButton("more", "More actions", () => {
    const entries = [
      { label: "Copy link", onselect: () => copy(permalink(options.channel, message)) },
      { label: "Copy text", onselect: () => copy(message.text ?? "") },
    ];
    for (const { callback_id, name } of store.app.message_shortcuts ?? []) {
      const call = () => api.shortcut({ user: store.me, callback_id, channel: options.channel, ts: message.ts });
      entries.unshift({ label: name, description: store.app.name, onselect: () => call().catch((error) => toast(error.message)) });
    }
    if (isMine(message)) {
      entries.push(
        null,
        { label: "Edit message", onselect: () => options.edit(message.ts) },
        { label: "Delete message…", danger: true, onselect: () => remove(message, options) },
      );
    }
    menu(more, entries);
  });
  more.setAttribute("aria-haspopup", "menu");
  more.setAttribute("aria-expanded", "false");
  add.setAttribute("aria-expanded", "false");
  return h("div.toolbar", { role: "toolbar", "aria-label": "Message actions" }, quick, add, reply, more);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser refused to copy.");
  }
}

async function remove(message, options) {
  const sure = await confirmDialog({
    title: "Delete message",
    text: "Are you sure you want to delete this message? This cannot be undone.",
    confirm: "Delete",
    deny: "Cancel",
    style: "danger",
  });
  if (sure) await api.remove({ user: store.me, channel: options.channel, ts: message.ts }).catch((error) => toast(error.message));
}
