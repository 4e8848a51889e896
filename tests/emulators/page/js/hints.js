// The demo's strip: what to try, filled by `/demo/hints`; without that route it stays hidden.

import { h, icon, iconButton, replace } from "./dom.js";

const HIDDEN = "longshore-hints-hidden";

/** `{title, text, suggestions: ["wording" | {text, channel}]}` */
export function drawHints(host, button, hints, onpick) {
  const has = Boolean(hints && (hints.title || hints.text || hints.suggestions?.length));
  const set = (visible) => {
    host.hidden = !has || !visible;
    button.hidden = !has;
    button.setAttribute("aria-expanded", String(!host.hidden));
    try {
      sessionStorage.setItem(HIDDEN, visible ? "" : "yes");
    } catch {
      // Then it comes back with the next load.
    }
  };
  button.onclick = () => set(host.hidden);
  let visible = true;
  try {
    visible = sessionStorage.getItem(HIDDEN) !== "yes";
  } catch {
    // Shown.
  }
  if (has) {
    const suggestions = (hints.suggestions ?? [])
      .map((entry) => (typeof entry === "string" ? { text: entry } : entry))
      .filter((entry) => entry?.text);
    replace(
      host,
      h("span.hints-icon", null, icon("bulb")),
      h(
        "div.hints-body",
        null,
        h("p", null, hints.title && h("strong", null, hints.title), hints.title && hints.text && " ", hints.text),
        suggestions.length > 0 &&
          h(
            "div.suggestions",
            null,
            suggestions.map((entry) =>
              h("button.suggestion", { type: "button", title: "Put this into the composer", onclick: () => onpick(entry) }, entry.text),
            ),
          ),
      ),
      iconButton("close", "Hide these hints", () => set(false)),
    );
  }
  set(visible);
}
