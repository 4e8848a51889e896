// The app's modals: the topmost view of the acting person's stack.

import { api } from "./api.js";
import { blocks, surface } from "./blocks.js";
import { freshId, h, iconButton, replace } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { inputsOf, isEmpty, valueOf } from "./elements.js";
import { closePopup } from "./popup.js";
import { store } from "./store.js";

let shown = null;

/** Shows the topmost of these views, or none. */
export function showViews(views) {
  const view = views.at(-1);
  if (!view) return hide();
  if (shown?.view.id === view.id) {
    if (shown.view.hash === view.hash) return;
    // What was typed stays for blocks that keep their ids.
    shown.view = view;
    shown.where.values = view.state.values;
    return draw(shown, {});
  }
  hide();
  const title = freshId("modal");
  const body = h("form.dialog-frame", { novalidate: true, onsubmit: (event) => (event.preventDefault(), submit(current)) });
  const node = h("dialog.dialog.modal", { "aria-labelledby": title, oncancel: (event) => (event.preventDefault(), close(current)) }, body);
  const current = {
    view,
    node,
    body,
    title,
    where: surface({ view_id: view.id }, { key: view.id, values: view.state.values, inputs: new Map() }),
  };
  shown = current;
  draw(current, {});
  document.body.append(node);
  node.showModal();
}

function hide() {
  if (!shown) return;
  closePopup();
  const { node } = shown;
  shown = null;
  node.close();
  node.remove();
}

function draw(current, errors, failure) {
  const { view, body, title, where } = current;
  const focused = body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const scroll = body.querySelector(".dialog-body")?.scrollTop ?? 0;
  const cancel = view.close ? withEmoji(view.close.text) : "Cancel";
  current.go = view.submit && h("button.button.primary", { type: "submit" }, withEmoji(view.submit.text));
  replace(
    body,
    h(
      "header.dialog-head",
      null,
      h("h2", { id: title }, withEmoji(view.title?.text ?? "")),
      iconButton("close", "Close", () => close(current)),
    ),
    h("div.dialog-body", null, failure && h("div.input-error", { role: "alert" }, failure), blocks(view.blocks, where, { errors })),
    h("footer.dialog-foot", null, h("button.button", { type: "button", onclick: () => close(current) }, cancel), current.go),
  );
  body.querySelector(".dialog-body").scrollTop = scroll;
  const heir = focused ? body.querySelector(`[data-key="${CSS.escape(focused)}"]`) : body.querySelector("[autofocus]");
  heir?.focus();
}

async function close(current) {
  try {
    await api.close({ user: store.me, view_id: current.view.id });
  } catch {
    // The view is gone already, or the app did not hear of it: for the person it is closed.
  }
  if (shown === current) showViews(await api.views(store.me).catch(() => []));
}

async function submit(current) {
  const { view, where } = current;
  const values = {};
  const missing = {};
  for (const [block, element] of inputsOf(view.blocks)) {
    const value = valueOf(where, block, element);
    if (isEmpty(value)) {
      if (block.type === "input" && !block.optional) missing[block.block_id] = "Please complete this required field.";
      // An emptied field must reach the app as empty; an untouched one stays out.
      if (value === null || value === undefined) continue;
    }
    (values[block.block_id] ??= {})[element.action_id] = value === "" ? null : value;
  }
  if (Object.keys(missing).length) return draw(current, missing);
  current.go?.setAttribute("aria-busy", "true");
  try {
    const answer = await api.submit({ user: store.me, view_id: view.id, values });
    if (shown !== current) return;
    if (answer.outcome === "errors") draw(current, answer.errors);
    else showViews(await api.views(store.me));
  } catch (error) {
    if (shown === current) draw(current, {}, error.message);
  } finally {
    current.go?.removeAttribute("aria-busy");
  }
}
