// Nodes from data. There is no innerHTML anywhere on this page: whatever a message holds ends up as text.

/** `h("button.primary", {onclick, title, dataset: {…}}, ...children)`; null, undefined and false children are left out. */
export function h(selector, properties, ...children) {
  const [tag, ...classes] = selector.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (name === "style") for (const [key, entry] of Object.entries(value)) node.style.setProperty(key, entry);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
  return node;
}

export function replace(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

const ICONS = {
  hash: "M9 3 7 21M17 3l-2 18M4 8.5h17M3 15.5h17",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  home: "M3.5 11 12 4l8.5 7M6 9.5V20h4.5v-5.5h3V20H18V9.5",
  chat: "M4 5h16v11H10l-4 4v-4H4z",
  menu: "M4 6.5h16M4 12h16M4 17.5h16",
  close: "m6 6 12 12M18 6 6 18",
  back: "M14.5 5 8 12l6.5 7",
  down: "m6 9 6 6 6-6",
  right: "m9 6 6 6-6 6",
  smile: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17M8 14.2a4.8 4.8 0 0 0 8 0M9 9.4v.4M15 9.4v.4",
  thread: "M4 4.5h16v11h-8.5L7 19.5v-4H4zM8 8.5h8M8 11.7h5",
  more: "M12 5.5v.1M12 12v.1M12 18.5v.1",
  send: "M4 4.5 21 12 4 19.500 6.500 12zM6.500 12H13",
  plus: "M12 5v14M5 12h14",
  at: "M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0m0 0v1.500a2.600 2.600 0 0 0 5 .5V12a9 9 0 1 0-4 7.500",
  bold: "M7.500 4.500h5.500a3.600 3.600 0 0 1 0 7.200H7.500zM7.500 11.700h6.300a3.900 3.900 0 0 1 0 7.800H7.500z",
  italic: "M10 4.500h7M7 19.500h7M14 4.500l-4 15",
  strike:
    "M4 12h16M16.500 7.500C16 5.500 14.200 4.500 12 4.500c-2.500 0-4.300 1.400-4.300 3.400 0 1.500 1 2.500 2.600 3.300M7.300 16c.5 2.200 2.400 3.500 4.800 3.500 2.700 0 4.700-1.500 4.700-3.800 0-.9-.3-1.600-.8-2.200",
  code: "m8.500 7-5 5 5 5M15.500 7l5 5-5 5",
  block: "M4 5h16v14H4zM10.500 9.500 8 12l2.500 2.500M13.500 9.500 16 12l-2.500 2.500",
  quote: "M5 5v14M9.500 8H20M9.500 12H20M9.500 16H16",
  list: "M5 7v.1M5 12v.1M5 17v.1M9.500 7H20M9.500 12H20M9.500 17H20",
  trash: "M5 7h14M9.500 7V4.500h5V7M7 7l.8 12.500h8.400L17 7",
  download: "M12 4v11M7.500 11l4.500 4.500 4.500-4.500M5 19.500h14",
  file: "M6.500 3.500h7.500l4 4v13H6.500zM14 3.500v4h4",
  bulb: "M9 17.500h6M10 20.500h4M9 14.500c-1.700-1.200-2.700-2.800-2.700-4.800a5.700 5.700 0 0 1 11.400 0c0 2-1 3.600-2.700 4.800v0H9z",
  eye: "M2.500 12S6 5.800 12 5.800 21.500 12 21.500 12 18 18.200 12 18.200 2.500 12 2.500 12M12 9.300a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400",
  check: "m5 12.500 4.500 4.500L19 7.500",
  up: "m6 15 6-6 6 6",
  thumb_up:
    "M7.500 10.500v9H4v-9zM7.500 18.500c3 1 4 1 6.500 1 3.500 0 4.200-1.500 4.700-4.500l.6-3.500c.1-1-.6-1.500-1.500-1.500H14c.6-2 .7-5.500-1.200-5.500-1.300 0-.8 2-2 4-.8 1.300-2 2-3.300 2.500",
  thumb_down:
    "M16.500 13.500v-9H20v9zM16.500 5.500c-3-1-4-1-6.500-1-3.500 0-4.200 1.500-4.700 4.500l-.6 3.500c-.1 1 .6 1.500 1.500 1.500H10c-.6 2-.7 5.500 1.200 5.500 1.300 0 .8-2 2-4 .8-1.300 2-2 3.300-2.500",
  warn: "M12 4 2.800 19.500h18.400zM12 10v4.500M12 17v.1",
  archive: "M4 5h16v4H4zM5.500 9v10.500h13V9M10 12.500h4",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.more);
  svg.append(path);
  return svg;
}

/** A button that shows an icon alone. */
export function iconButton(name, label, onclick, selector = "button.icon-button") {
  return h(selector, { type: "button", title: label, "aria-label": label, onclick }, icon(name));
}

/** An address that a click may open; anything else (javascript:, data:) is none. */
export function safeUrl(url) {
  try {
    const parsed = new URL(url, location.origin);
    return ["http:", "https:", "mailto:"].includes(parsed.protocol) ? parsed.href : null;
  } catch {
    return null;
  }
}

export function link(url, ...children) {
  const href = safeUrl(url);
  return href ? h("a.link", { href, target: "_blank", rel: "noopener noreferrer" }, ...children) : h("span", null, ...children);
}

let lastId = 0;
export const freshId = (prefix) => `${prefix}-${++lastId}`;
