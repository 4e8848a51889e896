// What floats above the page: menus, pickers, dialogs, notices.

import { emoji, searchEmoji } from "./emoji.js";
import { append, freshId, h, iconButton } from "./dom.js";
import { mrkdwn } from "./mrkdwn.js";

let open = null;

export function closePopup() {
  if (!open) return;
  const { node, anchor, onclose } = open;
  open = null;
  node.remove();
  anchor.setAttribute?.("aria-expanded", "false");
  onclose?.();
}

document.addEventListener("pointerdown", (event) => {
  if (open && !open.node.contains(event.target) && !open.anchor.contains?.(event.target)) closePopup();
});
document.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    event.preventDefault();
    const { anchor } = open;
    closePopup();
    anchor.focus?.();
  },
  true,
);
window.addEventListener("resize", closePopup);

/** Shows `node` at `anchor`, inside of the dialog it stands in, where there is one. */
export function popup(anchor, node, { onclose, side = "below" } = {}) {
  closePopup();
  (anchor.closest?.("dialog") ?? document.body).append(node);
  node.classList.add("popup");
  place(anchor.getBoundingClientRect(), node, side);
  anchor.setAttribute?.("aria-expanded", "true");
  open = { node, anchor, onclose };
}

function place(at, node, side) {
  const { offsetWidth: width, offsetHeight: height } = node;
  const below = side === "below" ? at.bottom + height + 8 < innerHeight : at.top < height + 8;
  const left = Math.max(8, Math.min(side === "above-end" ? at.right - width : at.left, innerWidth - width - 8));
  const top = below ? at.bottom + 4 : Math.max(8, at.top - height - 4);
  node.style.left = `${left}px`;
  node.style.top = `${Math.min(top, Math.max(8, innerHeight - height - 8))}px`;
}

/** A menu of `{label, danger?, checked?, onselect}`; null entries are dividers. */
export function menu(anchor, entries, options) {
  const items = entries.map((entry) =>
    entry === null
      ? h("div.menu-divider", { role: "separator" })
      : h(
          entry.danger ? "button.menu-item.danger" : "button.menu-item",
          {
            type: "button",
            role: "menuitem",
            tabindex: "-1",
            onclick: () => {
              closePopup();
              entry.onselect();
            },
          },
          entry.before,
          h("span.menu-label", null, entry.label, entry.description && h("small", null, entry.description)),
          entry.checked && h("span.menu-check", { "aria-label": "chosen" }, "✓"),
        ),
  );
  const node = h("div.menu", { role: "menu", onkeydown: (event) => arrows(event, node, ".menu-item") }, items);
  popup(anchor, node, options);
  node.querySelector(".menu-item")?.focus();
}

export function arrows(event, node, selector) {
  if (!["ArrowDown", "ArrowUp", "Home", "End"].includes(event.key)) return;
  const all = [...node.querySelectorAll(selector)];
  if (!all.length) return;
  event.preventDefault();
  const at = all.indexOf(document.activeElement);
  const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? all.length - 1 : at - 1, Home: 0, End: all.length - 1 }[event.key];
  all[(next + all.length) % all.length].focus();
}

/** A list with a search field. `load(query)` answers `[{label?, options: [option]}]`, at once or later. */
export function chooser(
  anchor,
  { load, search = true, placeholder = "Search", chosen = [], multiple = false, minimum = 0, onselect, onclose, textOf },
) {
  const id = freshId("choices");
  const list = h("div.choices", { role: "listbox", id, "aria-multiselectable": multiple ? "true" : null });
  const field = h("input.choice-search", {
    type: "text",
    placeholder,
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": id,
    "aria-label": placeholder,
    autocomplete: "off",
  });
  const picked = new Set(chosen);
  let active = -1;
  let turn = 0;
  // Enter on a list that is about to change waits for the new one.
  let stale = false;
  let entered = false;
  const all = () => [...list.querySelectorAll("[role=option]")];
  const activate = (index) => {
    const options = all();
    active = options.length ? (index + options.length) % options.length : -1;
    options.forEach((option, at) => option.classList.toggle("active", at === active));
    options[active]?.scrollIntoView({ block: "nearest" });
    if (options[active]) field.setAttribute("aria-activedescendant", options[active].id);
    else field.removeAttribute("aria-activedescendant");
  };
  const say = (text) => list.replaceChildren(h("div.choice-note", null, text));
  const optionNode = (option) => {
    const isChosen = picked.has(option.value);
    return h(
      isChosen ? "div.choice.chosen" : "div.choice",
      {
        role: "option",
        id: freshId("choice"),
        "aria-selected": String(isChosen),
        onclick: () => {
          if (!multiple) closePopup();
          else {
            if (!picked.delete(option.value)) picked.add(option.value);
            refresh();
          }
          onselect(option, field.value.trim());
        },
      },
      h("span.choice-label", null, textOf(option), option.description && h("small", null, option.description.text)),
      isChosen && h("span.menu-check", { "aria-hidden": "true" }, "✓"),
    );
  };
  const refresh = async () => {
    const mine = ++turn;
    const query = field.value.trim();
    if (query.length < minimum) return say(minimum === 1 ? "Type to search" : `Type at least ${minimum} letters to search`);
    const pending = setTimeout(() => mine === turn && say("Looking…"), 120);
    try {
      const groups = await load(query);
      clearTimeout(pending);
      if (mine !== turn) return;
      const keep = active;
      list.replaceChildren();
      for (const group of groups) {
        if (group.label && group.options.length) list.append(h("div.choice-group", { role: "presentation" }, group.label));
        append(list, group.options.map(optionNode));
      }
      if (!all().length) say("No results");
      activate(Math.max(0, Math.min(keep, all().length - 1)));
      stale = false;
      if (entered) all()[active]?.click();
      entered = false;
    } catch (error) {
      clearTimeout(pending);
      if (mine === turn) say(error.message);
    }
  };
  let debounce;
  field.addEventListener("input", () => {
    active = 0;
    stale = true;
    turn += 1;
    clearTimeout(debounce);
    debounce = setTimeout(refresh, 60);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") activate(active + 1);
    else if (event.key === "ArrowUp") activate(active - 1);
    else if (event.key === "Enter" && stale) entered = true;
    else if (event.key === "Enter") all()[active]?.click();
    else if (event.key === "Tab") return closePopup();
    else return;
    event.preventDefault();
  });
  const node = h("div.chooser", null, search ? field : h("div.visually-hidden", null, field), list);
  node.style.minWidth = `${Math.max(240, anchor.getBoundingClientRect().width)}px`;
  popup(anchor, node, { onclose });
  refresh().then(() => open?.node === node && place(anchor.getBoundingClientRect(), node, "below"));
  field.focus();
}

export function emojiPicker(anchor, onselect) {
  const grid = h("div.emoji-grid", { role: "listbox", "aria-label": "Emoji" });
  const field = h("input.choice-search", { type: "text", placeholder: "Search emoji", "aria-label": "Search emoji", autocomplete: "off" });
  const choose = (name) => {
    closePopup();
    onselect(name);
  };
  const fill = () => {
    const seen = new Set();
    const hits = searchEmoji(field.value.trim()).filter(([, character]) => !seen.has(character) && seen.add(character));
    grid.replaceChildren(
      ...hits.map(([name]) =>
        h(
          "button.emoji-cell",
          { type: "button", role: "option", title: `:${name}:`, "aria-label": name.replaceAll("_", " "), onclick: () => choose(name) },
          emoji(name),
        ),
      ),
    );
    if (!hits.length) grid.append(h("div.choice-note", null, "No emoji of that name"));
  };
  field.addEventListener("input", fill);
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") grid.querySelector("button")?.click();
    else if (event.key === "ArrowDown") grid.querySelector("button")?.focus();
    else return;
    event.preventDefault();
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...grid.querySelectorAll("button")];
    (all[all.indexOf(document.activeElement) + step] ?? field).focus();
  });
  fill();
  popup(anchor, h("div.emoji-picker", null, field, grid), { side: "above-end" });
  field.focus();
}

/** A dialog with a question; answers whether it was confirmed. The texts are Slack's text objects or plain strings. */
export function confirmDialog({ title, text, confirm, deny, style }) {
  const shown = (object) => (typeof object === "string" ? object : object?.type === "mrkdwn" ? mrkdwn(object.text) : (object?.text ?? ""));
  return new Promise((resolve) => {
    let answer = false;
    const end = (value) => {
      answer = value;
      dialog.close();
    };
    const id = freshId("question");
    const dialog = h(
      "dialog.dialog.confirm",
      { "aria-labelledby": id, onclose: () => (dialog.remove(), resolve(answer)) },
      h(
        "header.dialog-head",
        null,
        h("h2", { id }, shown(title)),
        iconButton("close", "Close", () => end(false)),
      ),
      h("div.dialog-body", null, shown(text)),
      h(
        "footer.dialog-foot",
        null,
        h("button.button", { type: "button", onclick: () => end(false) }, shown(deny) || "Cancel"),
        h(
          style === "danger" ? "button.button.danger" : "button.button.primary",
          { type: "button", autofocus: true, onclick: () => end(true) },
          shown(confirm) || "Yes",
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** A short notice at the foot of the page. */
export function toast(text) {
  const node = h("div.toast", { role: "status" }, text);
  const host = document.querySelector("#toasts");
  host.append(node);
  setTimeout(() => node.remove(), 6000);
}
