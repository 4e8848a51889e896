// `rich_text` blocks as nodes.

import { h, link } from "./dom.js";
import { broadcast, channelMention, emojiNode, mention, textNodes } from "./inline.js";
import { pattern } from "./time.js";

/** The nodes of a `rich_text` block. */
export function richText(block) {
  const out = [];
  const numbers = [];
  for (const element of block.elements ?? []) {
    if (element.type === "rich_text_list") out.push(list(element, numbers));
    else {
      numbers.length = 0;
      out.push(section(element));
    }
  }
  return h("div.rich-text", null, out);
}

function section(element) {
  const inner = (element.elements ?? []).map(part);
  switch (element.type) {
    case "rich_text_preformatted":
      return h(
        "pre.code-block",
        null,
        h(
          "code",
          null,
          (element.elements ?? []).map((text) => text.text ?? text.url ?? ""),
        ),
      );
    case "rich_text_quote":
      return h("blockquote", null, h("div.text", null, inner));
    default:
      return h("div.text", null, inner);
  }
}

/** Slack sends each level of a nested list as a list of its own; `numbers` carries the count of each level on. */
function list(element, numbers) {
  const indent = element.indent ?? 0;
  const ordered = element.style === "ordered";
  numbers.length = Math.min(numbers.length, indent + 1);
  const start = (element.offset ?? numbers[indent] ?? 0) + 1;
  numbers[indent] = start - 1 + (element.elements?.length ?? 0);
  const items = (element.elements ?? []).map((item) => h("li", null, (item.elements ?? []).map(part)));
  const node = h(ordered ? "ol" : "ul", { dataset: { level: String(indent % 3) }, style: { "--indent": String(indent) } }, items);
  if (ordered) node.start = start;
  if (element.border) node.classList.add("bordered");
  return node;
}

function part(element) {
  return styled(plain(element), element.style);
}

function plain(element) {
  switch (element.type) {
    case "text":
      return textNodes(element.text ?? "");
    case "link":
      return link(element.url, element.text || element.url);
    case "emoji":
      return emojiNode(element.name, element.unicode);
    case "user":
      return mention(element.user_id);
    case "channel":
      return channelMention(element.channel_id);
    case "usergroup":
      return h("span.mention", null, `@${element.usergroup_id}`);
    case "broadcast":
      return broadcast(element.range);
    case "color":
      return [h("span.swatch", { style: { background: element.value } }), element.value];
    case "date": {
      const text = pattern(element.timestamp, element.format ?? "{date}");
      return element.url ? link(element.url, text) : h("time", { title: element.fallback ?? text }, text);
    }
    default:
      return element.text ?? "";
  }
}

function styled(nodes, style) {
  if (!style) return nodes;
  if (style.code) nodes = h("code.inline-code", null, nodes);
  if (style.strike) nodes = h("s", null, nodes);
  if (style.underline) nodes = h("u", null, nodes);
  if (style.italic) nodes = h("em", null, nodes);
  if (style.bold) nodes = h("strong", null, nodes);
  if (style.highlight || style.client_highlight) nodes = h("mark", null, nodes);
  return nodes;
}

/** What a `rich_text_input` holds, for a plain text area and back. */
export const richTextToPlain = (block) =>
  (block?.elements ?? []).map((section) => (section.elements ?? []).map((piece) => piece.text ?? piece.url ?? "").join("")).join("\n");
export const plainToRichText = (text) => ({
  type: "rich_text",
  elements: [{ type: "rich_text_section", elements: text ? [{ type: "text", text }] : [] }],
});
