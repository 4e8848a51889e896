// A list of messages that is read again at every change: only what differs is built anew, and the foot stays in sight.

import { api } from "./api.js";
import { Composer } from "./composer.js";
import { h, icon } from "./dom.js";
import { messageNode } from "./message.js";
import { typed } from "./mrkdwn.js";
import { toast } from "./popup.js";
import { store } from "./store.js";
import { ago, day, dayKey } from "./time.js";

/** Messages of one author within this time stand together. */
const TOGETHER_SECONDS = 300;
const NEAR_FOOT = 60;

export class MessageList {
  /** `place` is "channel" or "thread"; `acts` are the callbacks of `messageNode`. */
  constructor(host, { place, label, acts }) {
    this.place = place;
    this.acts = acts;
    this.items = new Map();
    this.editing = null;
    this.shown = null;
    this.sticks = true;
    this.inner = h("div.messages", { role: "log", "aria-label": label, "aria-live": "polite" });
    this.more = h("button.more-below", { type: "button", hidden: true, onclick: () => this.toFoot() }, icon("down"), "New messages");
    this.scroller = h("div.scroller", null, this.inner);
    host.append(this.scroller, this.more);
    // Only going up lets go of the foot: what grows below (a picture that arrives) scrolls nothing.
    let top = 0;
    this.scroller.addEventListener("scroll", () => {
      const up = this.scroller.scrollTop < top - 1;
      top = this.scroller.scrollTop;
      const atFoot = this.isAtFoot();
      if (atFoot || up) this.sticks = atFoot;
      if (atFoot) this.more.hidden = true;
    });
    new ResizeObserver(() => this.sticks && this.toFoot()).observe(this.inner);
    new ResizeObserver(() => this.sticks && this.toFoot()).observe(this.scroller);
    this.inner.addEventListener("keydown", (event) => this.walk(event));
  }

  isAtFoot() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < NEAR_FOOT;
  }

  toFoot() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.sticks = true;
    this.more.hidden = true;
  }

  /** Shows these messages. `view` names what is shown: another view begins at its foot. */
  show(view, channel, messages, { intro = null, newAfter = null, threadUnread = () => false } = {}) {
    const other = view !== this.shown;
    if (other) {
      this.items.clear();
      this.inner.replaceChildren();
      this.editing = null;
      this.shown = view;
      this.sticks = true;
    }
    this.messages = messages;
    this.redraw = () => this.show(view, channel, messages, { intro, newAfter, threadUnread });
    const last = this.inner.lastElementChild?.dataset.ts;
    this.patch(this.plan(channel, messages, { intro, newAfter, threadUnread }));
    if (this.sticks) this.toFoot();
    else if (messages.length && last && messages.at(-1).ts > last) this.more.hidden = false;
    const focusable = this.inner.querySelector(".message[tabindex='0']");
    if (!focusable) [...this.inner.querySelectorAll(".message")].at(-1)?.setAttribute("tabindex", "0");
  }

  plan(channel, messages, { intro, newAfter, threadUnread }) {
    const items = [];
    if (intro) items.push({ key: "intro", sign: intro.sign, make: intro.make });
    let before = null;
    let newShown = false;
    for (const message of messages) {
      if (this.place === "channel" && (!before || dayKey(before.ts) !== dayKey(message.ts))) {
        const text = day(message.ts);
        items.push({
          key: `day ${dayKey(message.ts)}`,
          sign: text,
          make: () => h("div.day", { role: "separator" }, h("span", null, text)),
        });
        before = null;
      }
      if (newAfter && !newShown && message.ts > newAfter && message.user !== store.me && !message.is_ephemeral) {
        newShown = true;
        items.push({ key: "new", sign: "", make: () => h("div.new-line", { role: "separator" }, h("span", null, "New")) });
        before = null;
      }
      const compact = follows(before, message);
      const unread = threadUnread(message);
      const editing = this.editing === message.ts;
      const sign = JSON.stringify([message, compact, unread, editing, store.me, message.latest_reply && ago(message.latest_reply)]);
      items.push({
        key: message.ts,
        sign,
        make: () =>
          messageNode(message, {
            ...this.acts,
            channel,
            place: this.place,
            compact,
            threadUnread: unread,
            editor: editing ? this.editor(channel, message) : null,
            edit: (ts) => this.edit(ts),
          }),
      });
      if (this.place === "thread" && message === messages[0]) {
        const replies = messages.filter((each) => !each.is_ephemeral).length - 1;
        const text = replies === 1 ? "1 reply" : `${replies} replies`;
        if (replies > 0)
          items.push({ key: "replies", sign: text, make: () => h("div.replies-line", { role: "separator" }, h("span", null, text)) });
        before = null;
      } else before = message;
    }
    return items;
  }

  patch(plan) {
    const keys = new Set(plan.map((item) => item.key));
    for (const [key, item] of this.items) {
      if (keys.has(key)) continue;
      item.node.remove();
      this.items.delete(key);
    }
    let at = this.inner.firstChild;
    for (const { key, sign, make } of plan) {
      let item = this.items.get(key);
      if (item?.sign !== sign) {
        const node = make();
        if (item) {
          if (item.node === at) at = node;
          swap(item.node, node);
        }
        item = { sign, node };
        this.items.set(key, item);
      }
      if (item.node === at) at = at.nextSibling;
      else this.inner.insertBefore(item.node, at);
    }
  }

  /** Arrow keys go from message to message. */
  walk(event) {
    if (!event.target.classList.contains("message") || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
    const all = [...this.inner.querySelectorAll(".message")];
    const next = all[all.indexOf(event.target) + (event.key === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  edit(ts) {
    this.editing = ts;
    this.redraw?.();
    this.composer?.focus();
  }

  /** Edits the last message of whom one acts as; what arrow-up in an empty composer does. */
  editLast() {
    const mine = (this.messages ?? []).filter((message) => message.client_msg_id && message.user === store.me).at(-1);
    if (mine) this.edit(mine.ts);
    return Boolean(mine);
  }

  editor(channel, message) {
    const host = h("div.editor");
    const end = () => {
      this.editing = null;
      this.redraw?.();
      this.inner.querySelector(`[data-ts="${message.ts}"]`)?.focus();
    };
    const save = async (text) => {
      await api.edit({ user: store.me, channel, ts: message.ts, text });
      this.editing = null;
      this.redraw?.();
    };
    this.composer = new Composer(host, {
      label: "Edit message",
      submitLabel: "Save",
      text: typed(message.text, store.users, store.channels),
      onsend: (text) => save(text).catch((error) => (toast(error.message), false)),
      oncancel: end,
      files: false,
    });
    return host;
  }

  /** Brings a message into sight and marks it for a moment. */
  reveal(ts) {
    const node = this.inner.querySelector(`[data-ts="${CSS.escape(ts)}"]`);
    if (!node) return;
    this.sticks = false;
    node.scrollIntoView({ block: "center" });
    node.classList.add("flash");
    node.focus({ preventScroll: true });
  }
}

function follows(before, message) {
  if (!before || before.is_ephemeral || message.is_ephemeral || message.subtype || before.subtype) return false;
  return before.user === message.user && Number(message.ts) - Number(before.ts) < TOGETHER_SECONDS && !before.reply_count;
}

/** Replaces a node; the focus inside of it goes to what has its place in the new one. */
function swap(old, node) {
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const { selectionStart, selectionEnd } = focused ?? {};
  if (old.getAttribute("tabindex") === "0") node.setAttribute("tabindex", "0");
  old.replaceWith(node);
  if (!focused) return;
  const heir = focused === old ? node : focused.dataset.key ? node.querySelector(`[data-key="${CSS.escape(focused.dataset.key)}"]`) : null;
  heir?.focus({ preventScroll: true });
  if (heir && selectionStart !== undefined && selectionStart !== null) heir.setSelectionRange?.(selectionStart, selectionEnd);
}
