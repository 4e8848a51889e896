// The `markdown` block: standard markdown, read by marked's lexer and built as nodes here.

import { lexer } from "../vendor/marked.esm.js";
import { h, link } from "./dom.js";
import { broadcast, channelMention, mention, textNodes } from "./inline.js";

export function markdown(text) {
  return h("div.markdown", null, blocks(lexer(text, { gfm: true })));
}

function blocks(tokens) {
  return (tokens ?? []).map(block);
}

function block(token) {
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      return h(`h${Math.min(6, token.depth + 1)}.level-${token.depth}`, null, inlines(token.tokens));
    case "paragraph":
      return h("p", null, inlines(token.tokens));
    case "code":
      return h("pre.code-block", token.lang ? { dataset: { language: token.lang } } : null, h("code", null, token.text));
    case "blockquote":
      return h("blockquote", null, blocks(token.tokens));
    case "hr":
      return h("hr");
    case "list": {
      const node = h(token.ordered ? "ol" : "ul", null, token.items.map(listItem));
      if (token.ordered && token.start !== "") node.start = Number(token.start);
      return node;
    }
    case "table":
      return table(token);
    default:
      // Loose text of a list's item, and HTML, which Slack shows as it is written.
      return token.tokens ? inlines(token.tokens) : textNodes(unescaped(token.text ?? token.raw ?? ""));
  }
}

function listItem(item) {
  const box =
    item.task && h("input", { type: "checkbox", checked: item.checked, disabled: true, "aria-label": item.checked ? "done" : "to do" });
  return h(item.task ? "li.task" : "li", null, box, blocks(item.tokens.filter((token) => token.type !== "checkbox")));
}

function table(token) {
  const cell = (tag) => (entry, index) => {
    const align = token.align[index];
    return h(align ? `${tag}.align-${align}` : tag, null, inlines(entry.tokens));
  };
  return h(
    "div.table-scroll",
    { tabindex: "0", role: "region", "aria-label": "Table" },
    h(
      "table",
      null,
      h("thead", null, h("tr", null, token.header.map(cell("th")))),
      h(
        "tbody",
        null,
        token.rows.map((row) => h("tr", null, row.map(cell("td")))),
      ),
    ),
  );
}

function inlines(tokens) {
  return joined(tokens ?? []).map(inline);
}

/** `<@U1>` and `<#C1>` are split by the lexer as broken HTML would be; text that stands together is read together. */
function joined(tokens) {
  const out = [];
  for (const token of tokens) {
    const isText = (token.type === "text" && !token.tokens) || token.type === "html" || token.type === "escape";
    const text = isText ? { type: "text", text: token.type === "escape" ? token.text : token.raw } : token;
    if (isText && out.at(-1)?.type === "text" && !out.at(-1).tokens) out.at(-1).text += text.text;
    else out.push(text);
  }
  return out;
}

function inline(token) {
  switch (token.type) {
    case "strong":
      return h("strong", null, inlines(token.tokens));
    case "em":
      return h("em", null, inlines(token.tokens));
    case "del":
      return h("s", null, inlines(token.tokens));
    case "codespan":
      return h("code.inline-code", null, token.text);
    case "br":
      return h("br");
    case "link":
      return link(token.href, inlines(token.tokens));
    case "image":
      // Slack shows a markdown image as a link.
      return link(token.href, token.text || token.href);
    case "checkbox":
      return null;
    default:
      return token.tokens ? inlines(token.tokens) : mentions(unescaped(token.text ?? token.raw ?? ""));
  }
}

function mentions(text) {
  return text.split(/(<[@#!][^>]+>)/).map((piece) => {
    const found = /^<([@#!])([^>|]+)(?:\|([^>]*))?>$/.exec(piece);
    if (!found) return textNodes(piece);
    if (found[1] === "@") return mention(found[2]);
    return found[1] === "#" ? channelMention(found[2], found[3]) : broadcast(found[3] ?? found[2]);
  });
}

const unescaped = (text) =>
  text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&#39;", "'").replaceAll("&amp;", "&");
