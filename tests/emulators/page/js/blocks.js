// Block Kit's blocks as nodes.

import { h, icon, link, safeUrl } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { element, surface, text } from "./elements.js";
import { markdown } from "./markdown.js";
import { mrkdwn } from "./mrkdwn.js";
import { richText } from "./rich_text.js";

export { surface };

/** The nodes of a list of blocks. `errors` are a modal's, by block id. */
export function blocks(list, where, { errors = {} } = {}) {
  return h(
    "div.blocks",
    null,
    list.map((block) => one(block, where, errors)),
  );
}

function one(block, where, errors) {
  const make = KINDS[block.type];
  const node = make ? make(block, where, errors) : h("div.unsupported", null, `This page does not show blocks of type ${block.type}.`);
  return h(`div.block.block-${block.type}`, block.block_id ? { dataset: { block: block.block_id } } : null, node);
}

const KINDS = {
  section(block, where) {
    const picture = block.accessory?.type === "image";
    return [
      h(
        "div.section-body",
        null,
        block.text && h("div.section-text", null, shown(block.text)),
        block.fields &&
          h(
            "div.section-fields",
            null,
            block.fields.map((field) => h("div.field-cell", null, shown(field))),
          ),
      ),
      block.accessory &&
        h(
          picture ? "div.accessory.picture" : "div.accessory",
          null,
          picture ? image(block.accessory, "img.thumbnail") : element(where, block, block.accessory),
        ),
    ];
  },
  header: (block) => h("h3.header-text", null, withEmoji(block.text.text)),
  divider: () => h("hr"),
  context: (block) =>
    block.elements.map((entry) =>
      entry.type === "image" ? image(entry, "img.context-image") : h("span.context-text", null, shown(entry)),
    ),
  actions: (block, where) => block.elements.map((entry) => element(where, block, entry)),
  context_actions: (block, where) => block.elements.map((entry) => element(where, block, entry)),
  image(block) {
    const node = image(block, "img.block-image");
    return h("figure", null, block.title && h("figcaption", null, withEmoji(block.title.text)), node);
  },
  input(block, where, errors) {
    const name = withEmoji(block.label.text);
    const error = errors[block.block_id];
    return [
      h("div.input-label", null, name, block.optional && h("span.optional", null, " (optional)")),
      element(where, block, block.element, name),
      error && h("div.input-error", { role: "alert" }, error),
      block.hint && h("div.input-hint", null, withEmoji(block.hint.text)),
    ];
  },
  rich_text: (block) => richText(block),
  markdown: (block) => markdown(block.text),
  video: (block) => [
    h("div.video-title", null, block.title_url ? link(block.title_url, block.title.text) : block.title.text),
    block.description && h("div.text", null, block.description.text),
    h(
      "a.video-link",
      { href: safeUrl(block.video_url) ?? "#", target: "_blank", rel: "noopener noreferrer" },
      image({ image_url: block.thumbnail_url, alt_text: block.alt_text }, "img.block-image"),
    ),
  ],
  table(block) {
    const cell = (entry, column) => {
      const settings = block.column_settings?.[column] ?? {};
      return h(
        `td.align-${settings.align ?? "left"}${settings.is_wrapped ? ".wrapped" : ""}`,
        null,
        entry.type === "raw_text" ? entry.text : richText(entry),
      );
    };
    return h(
      "div.table-scroll",
      { tabindex: "0", role: "region", "aria-label": "Table" },
      h(
        "table",
        null,
        h(
          "tbody",
          null,
          block.rows.map((row) => h("tr", null, row.map(cell))),
        ),
      ),
    );
  },
  task_card: (block) => task(block),
  plan: (block) => [h("div.plan-title", null, block.title), (block.tasks ?? []).map((entry) => task(entry))],
};

const shown = (object) => (object.type === "mrkdwn" ? mrkdwn(object.text) : h("div.text", null, withEmoji(object.text)));

const TASK_SIGNS = { pending: "○", in_progress: "◐", complete: "✓", error: "✕" };
const TASK_WORDS = { pending: "to do", in_progress: "in progress", complete: "done", error: "failed" };

function task(block) {
  const status = block.status ?? "pending";
  const more = [block.details && richText(block.details), block.output && richText(block.output)].filter(Boolean);
  const sources = (block.sources ?? []).map((source) => h("span.task-source", null, link(source.url, source.text)));
  const head = [
    h(`span.task-sign.${status}`, { role: "img", "aria-label": TASK_WORDS[status] ?? status }, TASK_SIGNS[status] ?? "○"),
    h("span.task-title", null, block.title),
  ];
  if (!more.length && !sources.length) return h("div.task", null, h("div.task-head", null, head));
  return h("details.task", { open: status !== "complete" }, h("summary.task-head", null, head), h("div.task-more", null, more, sources));
}

/** An image of an address or a file; where it cannot be loaded, its alternative text stands in its place. */
export function image(definition, selector) {
  const id =
    definition.slack_file?.id ?? /\/files-pri\/[^/]*?-(F\w+)\//.exec(definition.slack_file?.url ?? definition.image_url ?? "")?.[1];
  const src = id ? `/client/files/${encodeURIComponent(id)}` : safeUrl(definition.image_url ?? "");
  const failed = () => h("span.image-missing", { role: "img", "aria-label": definition.alt_text }, icon("file"), definition.alt_text);
  if (!src) return failed();
  const node = h(selector, { src, alt: definition.alt_text ?? "", loading: "lazy", onerror: () => node.replaceWith(failed()) });
  return node;
}

/** A legacy attachment: the coloured bar with its fields or blocks. */
export function attachment(entry, where) {
  const colour =
    { good: "#2eb67d", warning: "#ecb22e", danger: "#e01e5a" }[entry.color] ??
    (/^#?[0-9a-f]{6}$/i.test(entry.color ?? "") ? `#${entry.color.replace("#", "")}` : null);
  return [
    entry.pretext && h("div.section-text", null, mrkdwn(entry.pretext)),
    h(
      "div.attachment",
      colour ? { style: { "--bar": colour } } : null,
      entry.author_name &&
        h("div.attachment-author", null, entry.author_link ? link(entry.author_link, entry.author_name) : entry.author_name),
      entry.title &&
        h("div.attachment-title", null, entry.title_link ? link(entry.title_link, withEmoji(entry.title)) : withEmoji(entry.title)),
      entry.blocks ? blocks(entry.blocks, where) : h("div.section-text", null, mrkdwn(entry.text ?? entry.fallback ?? "")),
      entry.fields &&
        h(
          "div.section-fields",
          null,
          entry.fields.map((field) =>
            h("div.field-cell", null, h("strong", null, withEmoji(field.title ?? "")), mrkdwn(field.value ?? "")),
          ),
        ),
      entry.image_url && image({ image_url: entry.image_url, alt_text: entry.title ?? "image" }, "img.block-image"),
      entry.footer && h("div.attachment-footer", null, entry.footer),
    ),
  ];
}

export { text };
