// The box to type in: grows with its text, completes mentions, channels, emoji and commands, takes files.

import { completions } from "./complete.js";
import { append, freshId, h, icon, iconButton } from "./dom.js";
import { emojiPicker, toast } from "./popup.js";

const MOST_BYTES = 20_000_000;

export class Composer {
  /**
   * `onsend(text, files)` answers `false` where nothing was sent; the text then stays. `oncancel` makes it an editor with two buttons, `onempty`
   * is told of arrow-up in an empty box.
   */
  constructor(host, { label, onsend, oncancel, onempty, submitLabel = "Send", text = "", files = true }) {
    Object.assign(this, { onsend, oncancel, onempty });
    this.files = [];
    this.busy = false;
    const listId = freshId("completions");
    this.box = h("textarea.composer-text", {
      rows: "1",
      "aria-label": label,
      placeholder: label,
      role: "combobox",
      "aria-autocomplete": "list",
      "aria-expanded": "false",
      "aria-controls": listId,
      spellcheck: "true",
      oninput: () => this.typed(),
      onkeydown: (event) => this.key(event),
      onblur: () => setTimeout(() => this.closeList(), 150),
      onpaste: (event) => this.paste(event),
      onclick: () => this.complete(),
    });
    this.list = h("div.completions", { role: "listbox", id: listId, "aria-label": "Suggestions", hidden: true });
    this.chips = h("div.file-chips");
    this.send = oncancel
      ? h("button.button.primary.small", { type: "button", onclick: () => this.submit() }, submitLabel)
      : h(
          "button.send",
          { type: "button", title: submitLabel, "aria-label": submitLabel, disabled: true, onclick: () => this.submit() },
          icon("send"),
        );
    this.input =
      files &&
      h("input.visually-hidden", {
        type: "file",
        multiple: true,
        tabindex: "-1",
        "aria-hidden": "true",
        onchange: () => this.attach([...this.input.files]),
      });
    const wrap = (name, title, mark, block = false) => iconButton(name, title, () => this.wrap(mark, block));
    const smile = iconButton("smile", "Emoji", () => emojiPicker(smile, (name) => this.insert(`:${name}: `)));
    this.node = h(
      "div.composer",
      {
        ondragover: (event) => event.preventDefault(),
        ondrop: (event) => files && (event.preventDefault(), this.attach([...event.dataTransfer.files])),
      },
      this.list,
      h(
        "div.format-row",
        { role: "toolbar", "aria-label": "Formatting" },
        wrap("bold", "Bold", "*"),
        wrap("italic", "Italic", "_"),
        wrap("strike", "Strikethrough", "~"),
        h("span.bar"),
        iconButton("list", "Bulleted list", () => this.prefix("- ")),
        iconButton("quote", "Quote", () => this.prefix("> ")),
        h("span.bar"),
        wrap("code", "Code", "`"),
        wrap("block", "Code block", "```", true),
      ),
      this.box,
      this.chips,
      h(
        "div.action-row",
        null,
        files && iconButton("plus", "Attach files", () => this.input.click(), "button.icon-button.round"),
        this.input,
        smile,
        iconButton("at", "Mention somebody", () => this.insert("@")),
        h("span.spacer"),
        oncancel && h("button.button.small", { type: "button", onclick: oncancel }, "Cancel"),
        this.send,
      ),
    );
    host.append(this.node);
    this.text = text;
  }

  get text() {
    return this.box.value;
  }

  set text(value) {
    this.box.value = value;
    this.closeList();
    this.fit();
  }

  set label(value) {
    this.box.placeholder = value;
    this.box.setAttribute("aria-label", value);
  }

  focus() {
    this.box.focus();
    this.box.setSelectionRange(this.text.length, this.text.length);
  }

  fit() {
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, innerHeight * 0.4)}px`;
    this.send.disabled = this.busy || (!this.text.trim() && !this.files.length);
  }

  typed() {
    this.fit();
    this.complete();
  }

  insert(text) {
    this.box.focus();
    const before = this.text[this.box.selectionStart - 1];
    this.box.setRangeText(
      text === "@" && before && !/\s/.test(before) ? ` ${text}` : text,
      this.box.selectionStart,
      this.box.selectionEnd,
      "end",
    );
    this.typed();
  }

  wrap(mark, block) {
    const { selectionStart: start, selectionEnd: end } = this.box;
    const inner = this.text.slice(start, end);
    const edge = block ? `${mark}\n` : mark;
    this.box.focus();
    this.box.setRangeText(`${edge}${inner}${block ? `\n${mark}` : mark}`, start, end, "end");
    if (!inner) this.box.setSelectionRange(start + edge.length, start + edge.length);
    this.fit();
  }

  prefix(mark) {
    const { selectionStart: start, selectionEnd: end } = this.box;
    const from = this.text.lastIndexOf("\n", start - 1) + 1;
    const lines = this.text.slice(from, end).split("\n");
    this.box.focus();
    this.box.setRangeText(lines.map((line) => mark + line).join("\n"), from, end, "end");
    this.fit();
  }

  key(event) {
    if (event.isComposing) return;
    if (!this.list.hidden) {
      const move = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (move) {
        event.preventDefault();
        return this.activate(this.active + move);
      }
      if (event.key === "Tab" || event.key === "Enter") {
        event.preventDefault();
        return this.take(this.offers[this.active]);
      }
      if (event.key === "Escape") {
        event.preventDefault();
        event.stopPropagation();
        return this.closeList();
      }
    }
    if (event.key === "Enter" && !event.shiftKey && !this.inFence()) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && this.oncancel) {
      event.stopPropagation();
      this.oncancel();
    } else if (event.key === "ArrowUp" && !this.text && this.onempty?.()) event.preventDefault();
    else if ((event.ctrlKey || event.metaKey) && "bi".includes(event.key)) {
      event.preventDefault();
      this.wrap(event.key === "b" ? "*" : "_", false);
    }
  }

  /** Inside of an open code block, Enter is a line break. */
  inFence() {
    return (this.text.slice(0, this.box.selectionStart).match(/```/g)?.length ?? 0) % 2 === 1;
  }

  async submit() {
    const text = this.text.trim();
    if (this.busy || (!text && !this.files.length)) return;
    this.busy = true;
    this.fit();
    const before = { text: this.text, files: this.files };
    // A message that is on its way must not be in the box: what is typed meanwhile is the next one.
    if (!this.oncancel) {
      this.text = "";
      this.files = [];
      this.drawChips();
    }
    const sent = await this.onsend(text, before.files);
    this.busy = false;
    if (sent === false && !this.text) {
      this.text = before.text;
      this.files = before.files;
      this.drawChips();
    }
    this.fit();
  }

  paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || !this.input) return;
    event.preventDefault();
    this.attach(files);
  }

  async attach(files) {
    for (const file of files) {
      if (file.size > MOST_BYTES) toast(`${file.name} is too large for this page.`);
      else this.files.push({ name: file.name, mimetype: file.type || undefined, content_base64: await base64(file) });
    }
    this.input.value = "";
    this.drawChips();
    this.fit();
    this.box.focus();
  }

  drawChips() {
    this.chips.replaceChildren(
      ...this.files.map((file) =>
        h(
          "span.file-chip",
          null,
          icon("file"),
          file.name,
          iconButton("close", `Remove ${file.name}`, () => {
            this.files = this.files.filter((other) => other !== file);
            this.drawChips();
            this.fit();
          }),
        ),
      ),
    );
  }

  // Completion.

  complete() {
    const { selectionStart: at, selectionEnd: end } = this.box;
    const found = at === end ? completions(this.text.slice(0, at)) : null;
    if (!found?.offers.length) return this.closeList();
    this.from = at - found.length;
    this.offers = found.offers;
    this.list.replaceChildren();
    append(
      this.list,
      found.offers.map((offer, index) =>
        h(
          "div.completion",
          {
            role: "option",
            id: freshId("offer"),
            onpointerdown: (event) => (event.preventDefault(), this.take(offer)),
            onpointermove: () => this.activate(index),
          },
          offer.before,
          h("span.completion-name", null, offer.label),
          offer.detail && h("span.completion-detail", null, offer.detail),
        ),
      ),
    );
    this.list.hidden = false;
    this.box.setAttribute("aria-expanded", "true");
    this.activate(0);
  }

  activate(index) {
    const all = [...this.list.children];
    this.active = (index + all.length) % all.length;
    all.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.active)));
    all[this.active].scrollIntoView({ block: "nearest" });
    this.box.setAttribute("aria-activedescendant", all[this.active].id);
  }

  take(offer) {
    this.box.setRangeText(`${offer.insert} `, this.from, this.box.selectionStart, "end");
    this.closeList();
    this.fit();
    this.box.focus();
  }

  closeList() {
    this.list.hidden = true;
    this.box.setAttribute("aria-expanded", "false");
    this.box.removeAttribute("aria-activedescendant");
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
