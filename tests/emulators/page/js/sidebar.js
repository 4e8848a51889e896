// Rail and sidebar: the workspace, its channels, the direct message with the app, whom one acts as.

import { h, icon, replace } from "./dom.js";
import { avatar } from "./message.js";
import { menu } from "./popup.js";
import { channelTitle, counterpart, initials, store, unread, userName, visibleChannels } from "./store.js";

export function drawSidebar(host, acts) {
  const { joined, open, ims } = visibleChannels();
  const focused = host.contains(document.activeElement) ? document.activeElement.dataset.channel : null;
  const row = (channel) => {
    const waiting = unread.get(channel.id);
    const current = channel.id === store.channel;
    return h(
      `button.channel${current ? ".current" : ""}${waiting?.any ? ".unread" : ""}`,
      {
        type: "button",
        "aria-current": current ? "page" : null,
        dataset: { channel: channel.id },
        onclick: () => acts.openChannel(channel.id),
      },
      channel.is_im ? avatar(counterpart(channel), "span.avatar.tiny") : icon(channel.is_private ? "lock" : "hash"),
      h("span.channel-name", null, channelTitle(channel)),
      channel.is_im && store.users.get(counterpart(channel))?.is_bot && h("span.badge", null, "APP"),
      waiting?.any && h("span.visually-hidden", null, " unread"),
      waiting?.count > 0 && h("span.count", { "aria-label": `${waiting.count} for you` }, String(waiting.count)),
    );
  };
  const section = (title, channels) =>
    channels.length > 0 && h("section", { "aria-label": title }, h("h2", null, icon("down"), title), channels.map(row));
  replace(
    host,
    h("header.workspace", null, h("h1", null, store.team.name)),
    h("nav", { "aria-label": "Channels" }, section("Channels", joined), section("Direct messages", ims), section("More channels", open)),
  );
  if (focused) host.querySelector(`[data-channel="${CSS.escape(focused)}"]`)?.focus();
}

export function drawRail(host, acts) {
  const im = visibleChannels().ims[0];
  const waiting = im && unread.get(im.id)?.any;
  const inIm = im && store.channel === im.id;
  const entry = (name, label, on, onclick, dot) =>
    h(
      on ? "button.rail-entry.on" : "button.rail-entry",
      { type: "button", onclick, "aria-pressed": String(Boolean(on)) },
      h("span.rail-icon", null, icon(name), dot && h("span.dot")),
      label,
    );
  replace(
    host,
    h("div.tile", { title: store.team.name, "aria-hidden": "true" }, initials(store.team.name)),
    entry("home", "Home", !inIm, acts.openFirst),
    im && entry("chat", "DMs", inIm, () => acts.openChannel(im.id), waiting),
  );
}

/** The button that says whom one acts as, and changes it. */
export function drawSwitcher(host, acts) {
  const node = h(
    "button.switcher",
    {
      type: "button",
      "aria-haspopup": "menu",
      "aria-expanded": "false",
      onclick: () =>
        menu(
          node,
          store.people.map((id) => ({
            label: userName(id),
            description: describe(id),
            before: avatar(id, "span.avatar.small"),
            checked: id === store.me,
            onselect: () => acts.actAs(id),
          })),
        ),
    },
    avatar(store.me, "span.avatar.small"),
    h("span.switcher-text", null, h("span.switcher-lead", null, "You are "), h("strong", null, userName(store.me).split(" ")[0])),
    icon("down"),
  );
  replace(host, node);
}

const describe = (id) => {
  const user = store.users.get(id);
  return `@${user?.name ?? id}${user?.is_restricted ? " · guest" : ""}`;
};
