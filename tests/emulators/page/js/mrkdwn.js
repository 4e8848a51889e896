// Slack's mrkdwn as nodes. The text comes escaped (`&lt;`), with mentions and links in angle brackets.

import { h, link } from "./dom.js";
import { broadcast, channelMention, mention, textNodes } from "./inline.js";
import { pattern } from "./time.js";

const decode = (text) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
const MARKS = { "*": "strong", _: "em", "~": "s" };

/** `lists`: lines beginning with a dash or a bullet become lists, as Slack's composer does while one types. */
export function mrkdwn(text, { lists = false } = {}) {
  const out = [];
  // A fence swallows the line break on its outside.
  const parts = text.split(/\n?```\n?/);
  const whole = parts.length % 2 === 1 ? parts : [...parts.slice(0, -2), `${parts.at(-2)}\n\`\`\`${parts.at(-1)}`];
  whole.forEach((part, index) => {
    if (index % 2 === 1) out.push(h("pre.code-block", null, h("code", null, codeNodes(part))));
    else if (part) out.push(...paragraphs(part, lists));
  });
  return out;
}

/** Inside of code only links are told apart. */
function codeNodes(text) {
  return decode(text.replace(/<((?:https?:|mailto:)[^>|]*)(?:\|([^>]*))?>/g, (_, url, label) => label ?? url));
}

function paragraphs(text, lists) {
  const out = [];
  let lines = [];
  const flush = () => {
    if (lines.length)
      out.push(
        h(
          "div.text",
          null,
          lines.flatMap((line, index) => (index ? ["\n", ...inline(line)] : inline(line))),
        ),
      );
    lines = [];
  };
  const all = text.split("\n");
  for (let at = 0; at < all.length; at += 1) {
    if (/^(&gt;|>){3}/.test(all[at])) {
      flush();
      const rest = [all[at].replace(/^(&gt;|>){3} ?/, ""), ...all.slice(at + 1)].join("\n");
      out.push(h("blockquote", null, paragraphs(rest, lists)));
      return out;
    }
    const run = (expression) => {
      const taken = [];
      while (at < all.length && expression.test(all[at])) taken.push(all[at++].replace(expression, ""));
      at -= 1;
      flush();
      return taken;
    };
    if (/^(&gt;|>)/.test(all[at])) out.push(h("blockquote", null, paragraphs(run(/^(&gt;|>) ?/).join("\n"), lists)));
    else if (lists && /^[-•] /.test(all[at]))
      out.push(
        h(
          "ul",
          null,
          run(/^[-•] /).map((item) => h("li", null, inline(item))),
        ),
      );
    else if (lists && /^\d+\. /.test(all[at])) {
      const start = Number.parseInt(all[at], 10);
      out.push(
        h(
          "ol",
          { start },
          run(/^\d+\. /).map((item) => h("li", null, inline(item))),
        ),
      );
    } else lines.push(all[at]);
  }
  flush();
  return out;
}

const isWord = (letter) => letter !== undefined && /[\p{L}\p{N}]/u.test(letter);

/** One line, or what stands between two marks. */
export function inline(text) {
  const out = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push(...textNodes(decode(plain), { links: true }));
    plain = "";
  };
  for (let at = 0; at < text.length;) {
    const letter = text[at];
    let node = null;
    let end = -1;
    if (letter === "<") {
      end = text.indexOf(">", at);
      node = end > at + 1 ? token(text.slice(at + 1, end)) : null;
    } else if (letter === "`") {
      end = text.indexOf("`", at + 1);
      node = end > at + 1 ? h("code.inline-code", null, codeNodes(text.slice(at + 1, end))) : null;
    } else if (MARKS[letter] && !isWord(text[at - 1])) {
      end = closing(text, at);
      node = end > 0 ? h(MARKS[letter], null, inline(text.slice(at + 1, end))) : null;
    }
    if (node) {
      flush();
      out.push(node);
      at = end + 1;
    } else {
      plain += letter;
      at += 1;
    }
  }
  flush();
  return out;
}

/** The mark that ends what begins at `start`: not after a space, not before a letter, not inside a link or code. */
function closing(text, start) {
  const mark = text[start];
  if (text[start + 1] === undefined || /\s/.test(text[start + 1]) || text[start + 1] === mark) return -1;
  for (let at = start + 1; at < text.length; at += 1) {
    if (text[at] === "<" || text[at] === "`") {
      const end = text.indexOf(text[at] === "<" ? ">" : "`", at + 1);
      if (end > 0) at = end;
    } else if (text[at] === mark && !/\s/.test(text[at - 1]) && !isWord(text[at + 1])) return at;
  }
  return -1;
}

function token(content) {
  const bar = content.indexOf("|");
  const target = bar < 0 ? content : content.slice(0, bar);
  const label = bar < 0 ? null : decode(content.slice(bar + 1));
  if (target.startsWith("@")) return mention(target.slice(1));
  if (target.startsWith("#")) return channelMention(target.slice(1), label);
  if (target.startsWith("!date^")) {
    const [, seconds, format, url] = target.split("^");
    const text = Number.isFinite(Number(seconds)) && format ? pattern(seconds, decode(format)) : (label ?? "");
    return url ? link(decode(url), text) : h("time", { title: label ?? text }, text);
  }
  if (target.startsWith("!subteam^")) return h("span.mention", null, label ?? `@${target.slice(9)}`);
  if (target.startsWith("!")) return broadcast(label?.replace(/^@/, "") ?? target.slice(1));
  if (/^(https?:|mailto:|tel:)/.test(target)) {
    const shown = label === null ? decode(target).replace(/^mailto:/, "") : textNodes(label);
    return link(decode(target), shown);
  }
  return null;
}

/** Sent text turned back into what was typed, for editing. */
export function typed(text, users, channels) {
  const back = text.replace(/<([^>]+)>/g, (_, content) => {
    const [target, label] = content.split("|");
    if (target.startsWith("@")) return `@${users.get(target.slice(1))?.name ?? target.slice(1)}`;
    if (target.startsWith("#")) return `#${channels.get(target.slice(1))?.name ?? label}`;
    if (target.startsWith("!")) return `@${target.slice(1)}`;
    return label ? `<${content}>` : target;
  });
  return decode(back);
}
