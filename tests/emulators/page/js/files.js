// Files of a message: pictures and films are shown, short texts previewed, everything can be downloaded.

import { h, icon } from "./dom.js";

const MOST_PREVIEWED = 200_000;
const LINES_SHOWN = 8;

const urlOf = (file) => file.client_url ?? `/client/files/${encodeURIComponent(file.id)}`;
const size = (bytes) =>
  bytes < 1000 ? `${bytes} bytes` : bytes < 1_000_000 ? `${Math.round(bytes / 100) / 10} kB` : `${Math.round(bytes / 100_000) / 10} MB`;

export function filesNode(files) {
  return h("div.files", null, files.map(fileNode));
}

function fileNode(file) {
  const title = file.title || file.name;
  const download = h(
    "a.icon-button.download",
    { href: urlOf(file), download: file.name, title: `Download ${title}`, "aria-label": `Download ${title}` },
    icon("download"),
  );
  const type = file.mimetype ?? "";
  // A vector image is a document with scripts: as a picture it is harmless, opened it would not be.
  if (type.startsWith("image/")) return h("figure.file.picture", null, h("figcaption", null, title, download), picture(file, title));
  if (type.startsWith("video/"))
    return h(
      "figure.file.picture",
      null,
      h("figcaption", null, title, download),
      h("video", { src: urlOf(file), controls: true, "aria-label": title }),
    );
  const card = h(
    "div.file.card",
    null,
    h("span.file-icon", null, icon("file")),
    h(
      "span.file-name",
      null,
      h("strong", null, title),
      h("small", null, `${(file.pretty_type || "file").toUpperCase()} · ${size(file.size ?? 0)}`),
    ),
    download,
  );
  const readable = type.startsWith("text/") || type === "application/json";
  return readable && file.size <= MOST_PREVIEWED ? h("div.file.with-preview", null, card, preview(file)) : card;
}

function picture(file, title) {
  const open = () => {
    const close = () => dialog.close();
    const dialog = h(
      "dialog.lightbox",
      { "aria-label": title, onclick: close, onclose: () => dialog.remove() },
      h("img", { src: urlOf(file), alt: title }),
    );
    document.body.append(dialog);
    dialog.showModal();
  };
  return h(
    "button.picture-button",
    { type: "button", "aria-label": `Enlarge ${title}`, onclick: open },
    h("img", { src: urlOf(file), alt: title, loading: "lazy" }),
  );
}

function preview(file) {
  const code = h("code");
  const box = h("pre.code-block", null, code);
  fetch(urlOf(file))
    .then((response) => (response.ok ? response.text() : ""))
    .then((text) => {
      const lines = text.replace(/\n$/, "").split("\n");
      code.textContent = lines.slice(0, LINES_SHOWN).join("\n");
      if (lines.length <= LINES_SHOWN) return;
      const more = h("button.show-more", { type: "button", "aria-expanded": "false" }, `Show all ${lines.length} lines`);
      more.addEventListener("click", () => {
        const whole = more.getAttribute("aria-expanded") === "false";
        code.textContent = (whole ? lines : lines.slice(0, LINES_SHOWN)).join("\n");
        more.setAttribute("aria-expanded", String(whole));
        more.textContent = whole ? "Show less" : `Show all ${lines.length} lines`;
      });
      box.after(more);
    })
    .catch(() => box.remove());
  return box;
}
