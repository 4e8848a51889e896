// What stands over the messages: the channel's name and tabs, the thread's, the app's home.

import { blocks, surface } from "./blocks.js";
import { h, icon, iconButton, replace } from "./dom.js";
import { avatar } from "./message.js";
import { channelTitle, counterpart, store, userName } from "./store.js";

const MOST_FACES = 3;

export function channelHead(host, channel, acts) {
  const title = channel.is_im
    ? [avatar(counterpart(channel), "span.avatar.small"), channelTitle(channel)]
    : [icon(channel.is_private ? "lock" : "hash"), channel.name];
  const members = channel.members ?? [];
  const tab = (name, label) =>
    h(
      store.tab === name ? "button.tab.on" : "button.tab",
      { type: "button", role: "tab", "aria-selected": String(store.tab === name), onclick: () => acts.openTab(name) },
      label,
    );
  replace(
    host,
    h("h2.channel-title", null, title),
    channel.topic?.value && h("span.topic", { title: channel.topic.value }, channel.topic.value),
    h("span.spacer"),
    channel.is_im
      ? h("button.button.small", { type: "button", onclick: acts.newChat }, "New chat")
      : h(
          "span.members",
          {
            title: members.map(userName).join(", "),
            role: "img",
            "aria-label": `${members.length} members: ${members.map(userName).join(", ")}`,
          },
          members.slice(0, MOST_FACES).map((id) => avatar(id, "span.avatar.small")),
          h("span", null, String(members.length)),
        ),
  );
  if (channel.is_im)
    host.append(h("div.tabs", { role: "tablist", "aria-label": "Views" }, tab("home", "Home"), tab("messages", "Messages")));
}

/** The words at a channel's beginning. */
export function channelIntro(channel) {
  const title = channelTitle(channel);
  const text = channel.is_im
    ? `This is the very beginning of your direct message with ${title}.`
    : `This is the very beginning of the #${title} channel.${channel.purpose?.value ? ` ${channel.purpose.value}` : ""}`;
  return {
    sign: text,
    make: () =>
      h(
        "div.intro",
        null,
        channel.is_im
          ? avatar(counterpart(channel), "span.avatar.large")
          : h("span.intro-icon", null, icon(channel.is_private ? "lock" : "hash")),
        h("h3", null, channel.is_im ? title : `#${title}`),
        h("p", null, text),
      ),
  };
}

export function threadHead(host, channel, title, onclose) {
  if (host.dataset.sign === `${channel.id} ${title}`) return;
  host.dataset.sign = `${channel.id} ${title}`;
  replace(
    host,
    iconButton("back", "Back to the channel", onclose, "button.icon-button.back"),
    h("h2", null, title || "Thread", h("small", null, channel.is_im ? channelTitle(channel) : `#${channel.name}`)),
    h("span.spacer"),
    iconButton("close", "Close thread", onclose),
  );
}

let homeShown = null;

export function drawHome(host, view) {
  const sign = JSON.stringify([view?.id, view?.hash, store.me]);
  if (sign === homeShown && host.childElementCount) return;
  homeShown = sign;
  if (!view) return replace(host, h("div.home-empty", null, icon("home"), h("p", null, "This app has not published a home tab yet.")));
  return replace(
    host,
    h("div.home-body", null, blocks(view.blocks, surface({ view_id: view.id }, { key: view.id, values: view.state?.values ?? {} }))),
  );
}
