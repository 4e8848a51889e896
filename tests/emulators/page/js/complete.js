// What the composer offers for the word before the caret.

import { h, icon } from "./dom.js";
import { searchEmoji } from "./emoji.js";
import { avatar } from "./message.js";
import { store } from "./store.js";

const MOST_OFFERS = 8;
const BROADCASTS = [
  ["here", "Everybody online in this channel"],
  ["channel", "Everybody in this channel"],
];

/** `{length, offers}` for the text before the caret, or nothing; `length` letters are replaced by an offer's `insert`. */
export function completions(before) {
  if (/^\/[a-z_-]*$/i.test(before)) return commands(before);
  const found = /(?:^|[\s(])([@#:])([\p{L}\p{N}._+-]*)$/u.exec(before);
  if (!found) return null;
  const [, sign, query] = found;
  const offers = { "@": people, "#": channels, ":": emojis }[sign](query.toLowerCase());
  return { length: query.length + 1, offers: offers.slice(0, MOST_OFFERS) };
}

function commands(before) {
  const known = store.app.slash_commands ?? [];
  // Whole and known: there is nothing left to complete, so Enter sends.
  if (known.includes(before)) return null;
  return {
    length: before.length,
    offers: known.filter((name) => name.startsWith(before)).map((name) => ({ label: name, detail: store.app.name, insert: name })),
  };
}

function people(query) {
  const fits = (user) =>
    user.name.toLowerCase().startsWith(query) ||
    user.real_name
      .toLowerCase()
      .split(/\s+/)
      .some((word) => word.startsWith(query));
  // The app first: it is whom one talks to here.
  const users = [...store.users.values()].filter((user) => !user.deleted && fits(user)).sort((a, b) => Number(b.is_bot) - Number(a.is_bot));
  const offers = users.map((user) => ({
    label: user.real_name,
    detail: user.is_bot ? `${user.name} · App` : user.name,
    insert: `@${user.name}`,
    before: avatar(user.id, "span.avatar.small"),
  }));
  if (users.length === 1 && users[0].name.toLowerCase() === query) return [];
  return offers.concat(
    BROADCASTS.filter(([name]) => name.startsWith(query)).map(([name, detail]) => ({
      label: `@${name}`,
      detail,
      insert: `@${name}`,
      before: icon("at"),
    })),
  );
}

function channels(query) {
  const fits = [...store.channels.values()].filter(
    (channel) =>
      !channel.is_im && !channel.is_archived && (!channel.is_private || channel.members.includes(store.me)) && channel.name.includes(query),
  );
  if (fits.length === 1 && fits[0].name === query) return [];
  return fits.map((channel) => ({ label: channel.name, insert: `#${channel.name}`, before: icon(channel.is_private ? "lock" : "hash") }));
}

function emojis(query) {
  if (query.length < 2) return [];
  return searchEmoji(query, MOST_OFFERS).map(([name, character]) => ({
    label: `:${name}:`,
    insert: `:${name}:`,
    before: h("span.emoji", null, character),
  }));
}
