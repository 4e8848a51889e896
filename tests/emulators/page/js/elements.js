// Block Kit's interactive elements: how each looks, what it holds, what it sends.

import { api } from "./api.js";
import { h, icon, safeUrl } from "./dom.js";
import { withEmoji } from "./emoji.js";
import { mrkdwn } from "./mrkdwn.js";
import { chooser, confirmDialog, menu, toast } from "./popup.js";
import { plainToRichText, richTextToPlain } from "./rich_text.js";
import { channelTitle, store, userName, visibleChannels } from "./store.js";

/** What was chosen or typed on messages; modals bring a map of their own. */
const chosen = new Map();

/**
 * Where blocks stand: `target` as `/client/action` wants it, `key` to keep what is chosen by, `values` of a view's state, `inputs` in which a
 * modal collects what it will submit.
 */
export function surface(target, { key, values = {}, inputs = chosen } = {}) {
  return { target, key, values, inputs };
}

export const text = (object) => (object?.type === "mrkdwn" ? mrkdwn(object.text) : withEmoji(object?.text ?? ""));
const label = (object) => withEmoji(object?.text ?? "");

/** The field of an element's state that holds its value, and the one that holds its beginning. */
const FIELDS = {
  plain_text_input: ["value", "initial_value"],
  email_text_input: ["value", "initial_value"],
  url_text_input: ["value", "initial_value"],
  number_input: ["value", "initial_value"],
  rich_text_input: ["rich_text_value", "initial_value"],
  static_select: ["selected_option", "initial_option"],
  external_select: ["selected_option", "initial_option"],
  radio_buttons: ["selected_option", "initial_option"],
  multi_static_select: ["selected_options", "initial_options"],
  multi_external_select: ["selected_options", "initial_options"],
  checkboxes: ["selected_options", "initial_options"],
  users_select: ["selected_user", "initial_user"],
  multi_users_select: ["selected_users", "initial_users"],
  conversations_select: ["selected_conversation", "initial_conversation"],
  multi_conversations_select: ["selected_conversations", "initial_conversations"],
  channels_select: ["selected_channel", "initial_channel"],
  multi_channels_select: ["selected_channels", "initial_channels"],
  datepicker: ["selected_date", "initial_date"],
  timepicker: ["selected_time", "initial_time"],
  datetimepicker: ["selected_date_time", "initial_date_time"],
};

const keyOf = (where, block, element) => `${where.key}/${block.block_id}/${element.action_id}`;

export function valueOf(where, block, element) {
  const key = keyOf(where, block, element);
  if (where.inputs.has(key)) return where.inputs.get(key);
  const [field, initial] = FIELDS[element.type] ?? [];
  return where.values?.[block.block_id]?.[element.action_id]?.[field] ?? element[initial] ?? null;
}

/** Every element of the blocks that holds a value, with its block. */
export function inputsOf(blocks) {
  const out = [];
  for (const block of blocks) {
    for (const element of [...(block.elements ?? []), block.accessory, block.element])
      if (FIELDS[element?.type]) out.push([block, element]);
  }
  return out;
}

export const isEmpty = (value) =>
  value === null ||
  value === undefined ||
  value === "" ||
  (Array.isArray(value) && !value.length) ||
  (value?.type === "rich_text" && !richTextToPlain(value));

/** Sends an interaction; answers whether the app took it. */
async function act(where, block, element, value, node) {
  if (element.confirm && !(await confirmDialog(element.confirm))) return false;
  node.setAttribute("aria-busy", "true");
  try {
    await api.action({ user: store.me, ...where.target, action_id: element.action_id, block_id: block.block_id, value });
    node.classList.remove("failed");
    return true;
  } catch (error) {
    node.classList.add("failed");
    node.title = error.message;
    toast(error.message);
    return false;
  } finally {
    node.removeAttribute("aria-busy");
  }
}

/** Keeps a choice, and tells the app where the element is one that tells; `told` is what it is told, where that is not the choice itself. */
async function choose(where, block, element, value, node, told = value) {
  const key = keyOf(where, block, element);
  const had = where.inputs.has(key);
  const before = where.inputs.get(key);
  where.inputs.set(key, value);
  if (block.type === "input" && !block.dispatch_action) return true;
  const taken = await act(where, block, element, told ?? undefined, node);
  if (!taken && had) where.inputs.set(key, before);
  else if (!taken) where.inputs.delete(key);
  return taken;
}

const KINDS = {
  button,
  workflow_button: button,
  icon_button: iconAction,
  feedback_buttons: feedback,
  overflow,
  static_select: (...args) => select(...args, fixedOptions),
  multi_static_select: (...args) => select(...args, fixedOptions),
  external_select: (...args) => select(...args, askedOptions),
  multi_external_select: (...args) => select(...args, askedOptions),
  users_select: (...args) => select(...args, people),
  multi_users_select: (...args) => select(...args, people),
  conversations_select: (...args) => select(...args, conversations),
  multi_conversations_select: (...args) => select(...args, conversations),
  channels_select: (...args) => select(...args, channels),
  multi_channels_select: (...args) => select(...args, channels),
  radio_buttons: (...args) => ticks("radio", ...args),
  checkboxes: (...args) => ticks("checkbox", ...args),
  datepicker: (...args) => native("date", ...args),
  timepicker: (...args) => native("time", ...args),
  datetimepicker: (...args) => native("datetime-local", ...args),
  plain_text_input: (...args) => typing("text", ...args),
  email_text_input: (...args) => typing("email", ...args),
  url_text_input: (...args) => typing("url", ...args),
  number_input: (...args) => typing("number", ...args),
  rich_text_input: (...args) => typing("rich", ...args),
};

/** The node of an interactive element; `name` is its accessible name where its block gives one. */
export function element(where, block, definition, name) {
  const make = KINDS[definition.type];
  return make ? make(where, block, definition, name) : h("span.unsupported", null, `(${definition.type} is not shown here)`);
}

function button(where, block, definition) {
  const style = definition.style ? `.${definition.style}` : "";
  const name = definition.accessibility_label;
  const href = definition.url && safeUrl(definition.url);
  if (href) {
    // The app hears of a click on a link too; whether it answers is nothing to the person.
    const tell = () =>
      api.action({ user: store.me, ...where.target, action_id: definition.action_id, block_id: block.block_id }).catch(() => {});
    return h(
      `a.button${style}`,
      { href, target: "_blank", rel: "noopener noreferrer", "aria-label": name, onclick: tell },
      label(definition.text),
    );
  }
  const node = h(
    `button.button${style}`,
    {
      type: "button",
      "aria-label": name,
      dataset: { key: keyOf(where, block, definition) },
      onclick: () => node.hasAttribute("aria-busy") || act(where, block, definition, undefined, node),
    },
    label(definition.text),
  );
  return node;
}

function iconAction(where, block, definition) {
  const name = definition.accessibility_label ?? label(definition.text);
  if (definition.visible_to_user_ids && !definition.visible_to_user_ids.includes(store.me)) return null;
  const node = h(
    "button.icon-button",
    { type: "button", title: label(definition.text), "aria-label": name, onclick: () => act(where, block, definition, undefined, node) },
    icon("trash"),
  );
  return node;
}

function feedback(where, block, definition) {
  const key = keyOf(where, block, definition);
  const make = (choice, picture) => {
    const node = h(
      "button.icon-button",
      {
        type: "button",
        title: label(choice.text),
        "aria-label": choice.accessibility_label ?? label(choice.text),
        "aria-pressed": String(where.inputs.get(key) === choice.value),
        onclick: async () => {
          if (!(await act(where, block, definition, choice.value, node))) return;
          where.inputs.set(key, choice.value);
          for (const other of node.parentNode.children) other.setAttribute("aria-pressed", String(other === node));
        },
      },
      icon(picture),
    );
    return node;
  };
  return h("span.feedback", null, make(definition.positive_button, "thumb_up"), make(definition.negative_button, "thumb_down"));
}

function overflow(where, block, definition) {
  const pick = (option) => {
    const href = option.url && safeUrl(option.url);
    if (href) window.open(href, "_blank", "noopener");
    act(where, block, definition, option, node);
  };
  const node = h(
    "button.button.overflow",
    {
      type: "button",
      title: "More options",
      "aria-label": "More options",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      onclick: () =>
        menu(
          node,
          definition.options.map((option) => ({
            label: label(option.text),
            description: option.description && label(option.description),
            onselect: () => pick(option),
          })),
        ),
    },
    icon("more"),
  );
  return node;
}

// Selects. A source answers the groups for a query; entities are dressed as options whose value is their id.

const matches = (query) => (option) => label(option.text).toLowerCase().includes(query.toLowerCase());
const asOptions = (ids, name) => ids.map((id) => ({ value: id, text: { type: "plain_text", text: name(id) } }));

const fixedOptions = {
  load: (_, definition) => (query) =>
    (definition.option_groups ?? [{ options: definition.options ?? [] }]).map((group) => ({
      label: group.label && label(group.label),
      options: group.options.filter(matches(query)),
    })),
};
const askedOptions = {
  asks: true,
  minimum: (definition) => definition.min_query_length ?? 3,
  load: (where, definition) => async (query) => {
    const answer = await api.options({ user: store.me, ...where.target, action_id: definition.action_id, query });
    return (answer.option_groups ?? [{ options: answer.options ?? [] }]).map((group) => ({
      label: group.label && label(group.label),
      options: group.options,
    }));
  },
};
const entities = (list, name) => ({
  entity: name,
  load: () => (query) => [{ options: asOptions(list(), name).filter(matches(query)) }],
});
const people = entities(() => store.people, userName);
const roomName = (id) => {
  const channel = store.channels.get(id);
  return channel ? `${channel.is_im ? "" : "#"}${channelTitle(channel)}` : id;
};
const channels = entities(
  () =>
    visibleChannels()
      .joined.concat(visibleChannels().open)
      .map((channel) => channel.id),
  roomName,
);
const conversations = entities(
  () =>
    visibleChannels()
      .joined.concat(visibleChannels().ims)
      .map((channel) => channel.id),
  roomName,
);

function select(where, block, definition, name, source) {
  const multiple = definition.type.startsWith("multi_");
  const shown = (value) => (source.entity ? source.entity(value) : label(value.text));
  const raw = (option) => (source.entity ? option.value : option);
  const id = (value) => (source.entity ? value : value.value);
  const placeholder = definition.placeholder ? label(definition.placeholder) : "Choose an option";
  const caption = h("span.select-text");
  const draw = (value = valueOf(where, block, definition)) => {
    const values = multiple ? (value ?? []) : value ? [value] : [];
    caption.replaceChildren(
      ...(values.length
        ? values.flatMap((each, at) => (multiple ? h("span.chip", null, shown(each)) : at ? [] : shown(each)))
        : [placeholder]),
    );
    caption.classList.toggle("placeholder", !values.length);
  };
  const show = () => {
    const now = valueOf(where, block, definition);
    const picked = new Map((multiple ? (now ?? []) : now ? [now] : []).map((value) => [id(value), value]));
    let touched = false;
    chooser(node, {
      load: source.load(where, definition),
      minimum: source.minimum?.(definition) ?? 0,
      multiple,
      chosen: [...picked.keys()],
      placeholder: multiple ? placeholder : "Search",
      textOf: (option) => label(option.text),
      onselect: async (option, query) => {
        if (!multiple) {
          draw(raw(option));
          // The emulator asks the app again for an external option, by its text: by the words it was found with it is found again.
          const told = source.asks && { ...option, text: { ...option.text, text: query } };
          await choose(where, block, definition, raw(option), node, told || raw(option));
          draw();
          return node.isConnected && node.focus();
        }
        touched = true;
        if (!picked.delete(option.value)) picked.set(option.value, raw(option));
        draw([...picked.values()]);
      },
      onclose: async () => {
        if (!multiple || !touched) return;
        await choose(where, block, definition, [...picked.values()], node);
        draw();
      },
    });
  };
  const node = h(
    "button.select",
    {
      type: "button",
      "aria-haspopup": "listbox",
      "aria-expanded": "false",
      "aria-label": name ? `${name}: ${placeholder}` : null,
      dataset: { key: keyOf(where, block, definition) },
      onclick: show,
    },
    caption,
    icon("down"),
  );
  draw();
  return node;
}

function ticks(kind, where, block, definition, name) {
  const value = valueOf(where, block, definition);
  const on = new Set((Array.isArray(value) ? value : value ? [value] : []).map((option) => option.value));
  const group = keyOf(where, block, definition);
  const node = h(
    "div.ticks",
    { role: kind === "radio" ? "radiogroup" : "group", "aria-label": name },
    definition.options.map((option) =>
      h(
        "label.tick",
        null,
        h("input", {
          type: kind,
          name: group,
          checked: on.has(option.value),
          dataset: { key: `${group}/${option.value}` },
          onchange: (event) => {
            if (event.target.checked && kind === "radio") on.clear();
            if (event.target.checked) on.add(option.value);
            else on.delete(option.value);
            const all = definition.options.filter((each) => on.has(each.value));
            choose(where, block, definition, kind === "radio" ? all[0] : all, node);
          },
        }),
        h("span", null, text(option.text), option.description && h("small", null, text(option.description))),
      ),
    ),
  );
  return node;
}

function native(kind, where, block, definition, name) {
  const seconds = kind === "datetime-local";
  const local = (value) => {
    const date = new Date(value * 1000);
    return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  };
  const value = valueOf(where, block, definition);
  const node = h("input.field", {
    type: kind,
    value: value === null ? "" : seconds ? local(value) : value,
    "aria-label": name ?? (label(definition.placeholder) || kind),
    dataset: { key: keyOf(where, block, definition) },
    onchange: () =>
      node.value && choose(where, block, definition, seconds ? Math.floor(new Date(node.value).getTime() / 1000) : node.value, node),
  });
  return node;
}

function typing(kind, where, block, definition, name) {
  const rich = kind === "rich";
  const several = rich || definition.multiline;
  const value = valueOf(where, block, definition);
  const config = definition.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"];
  const tells = block.type !== "input" || block.dispatch_action;
  const held = () => (rich ? plainToRichText(node.value) : node.value);
  const node = h(several ? "textarea.field" : "input.field", {
    type: several ? null : kind === "number" ? "text" : kind,
    inputmode: kind === "number" ? (definition.is_decimal_allowed ? "decimal" : "numeric") : null,
    placeholder: label(definition.placeholder) || null,
    minlength: definition.min_length === undefined ? null : String(definition.min_length),
    maxlength: definition.max_length === undefined ? null : String(definition.max_length),
    "aria-label": name ?? (label(definition.placeholder) || "Text"),
    rows: several ? "4" : null,
    autofocus: definition.focus_on_load || null,
    dataset: { key: keyOf(where, block, definition) },
    oninput: () => {
      where.inputs.set(keyOf(where, block, definition), held());
      if (tells && config.includes("on_character_entered")) act(where, block, definition, held(), node);
    },
    onkeydown: (event) => {
      if (event.key === "Enter" && !event.shiftKey && tells && config.includes("on_enter_pressed") && !several) {
        event.preventDefault();
        act(where, block, definition, held(), node);
      }
    },
  });
  node.value = rich ? richTextToPlain(value) : (value ?? "");
  return node;
}
