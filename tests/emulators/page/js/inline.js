// Nodes that mrkdwn, rich text and markdown have in common.

import { emoji } from "./emoji.js";
import { h, link } from "./dom.js";
import { store, userName } from "./store.js";

/** Where a click on a mention of a channel leads; set by the app. */
export const navigation = { openChannel: () => {} };

export function mention(id) {
  const mine = id === store.me;
  const name = store.users.get(id)?.is_bot ? store.users.get(id).name : userName(id);
  return h(mine ? "span.mention.mine" : "span.mention", { title: userName(id) }, `@${name}`);
}

export function channelMention(id, label) {
  const channel = store.channels.get(id);
  const name = channel?.name || label || id;
  return h("button.mention", { type: "button", onclick: () => navigation.openChannel(id) }, `#${name}`);
}

export const broadcast = (range) => h("span.mention.mine", null, `@${range}`);

export function emojiNode(name, unicode) {
  const character = emoji(name) ?? (unicode && fromHex(unicode));
  return character
    ? h("span.emoji", { role: "img", title: `:${name}:`, "aria-label": name.replaceAll("_", " ") }, character)
    : document.createTextNode(`:${name}:`);
}

function fromHex(unicode) {
  const points = unicode.split("-").map((hex) => Number.parseInt(hex, 16));
  return points.every((point) => point > 0 && point <= 0x10ffff) ? String.fromCodePoint(...points) : null;
}

const SHORTCODE = /:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):/gi;
const ADDRESS = /\bhttps?:\/\/[^\s<>|]+/g;

/** Text with shortcodes as emoji and line breaks as such. */
export function textNodes(text, { links = false } = {}) {
  if (links)
    return split(
      text,
      ADDRESS,
      (match) => addressNodes(match[0]),
      (rest) => textNodes(rest),
    );
  return split(
    text,
    SHORTCODE,
    (match) => (emoji(match[1]) ? [emojiNode(match[1])] : [match[0]]),
    (rest) => [rest],
  );
}

/** The stop at the end of a sentence is none of the address. */
function addressNodes(address) {
  const url = address.replace(/[.,;:!?'")\]]+$/, "");
  return [link(url, url), address.slice(url.length)];
}

function split(text, expression, found, rest) {
  const out = [];
  let from = 0;
  for (const match of text.matchAll(expression)) {
    if (match.index > from) out.push(...rest(text.slice(from, match.index)));
    out.push(...found(match));
    from = match.index + match[0].length;
  }
  if (from < text.length) out.push(...rest(text.slice(from)));
  return out;
}
