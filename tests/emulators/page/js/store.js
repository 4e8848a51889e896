// What the page knows: the workspace, who one acts as, where one looks. Views subscribe; nothing here touches the document.

export const store = {
  team: { name: "" },
  app: { id: "", name: "", slash_commands: [] },
  botUser: "",
  users: new Map(),
  people: [],
  channels: new Map(),
  /** The user id one acts as. */
  me: null,
  channel: null,
  /** The open thread's root. */
  thread: null,
  /** In a direct message with the app: "messages" or "home". */
  tab: "messages",
  online: true,
};

/** Takes over `/client/state`. */
export function adopt(state) {
  store.team = state.team;
  store.app = state.app;
  store.botUser = state.bot_user_id;
  store.users = new Map(state.users.map((user) => [user.id, user]));
  store.people = (state.people ?? state.users.filter((user) => !user.is_bot).map((user) => user.id)).filter(
    (id) => !store.users.get(id)?.deleted,
  );
  store.channels = new Map(state.channels.map((channel) => [channel.id, channel]));
}

export const isMember = (channel) => Boolean(channel?.members?.includes(store.me));

/** The channels of the sidebar, for whom one acts as. */
export function visibleChannels() {
  const all = [...store.channels.values()];
  const byName = (a, b) => a.name.localeCompare(b.name);
  return {
    joined: all.filter((channel) => !channel.is_im && !channel.is_archived && isMember(channel)).sort(byName),
    open: all.filter((channel) => !channel.is_im && !channel.is_archived && !channel.is_private && !isMember(channel)).sort(byName),
    ims: all.filter((channel) => channel.is_im && isMember(channel)),
  };
}

/** The other side of a direct message. */
export const counterpart = (channel) => channel.members?.find((member) => member !== store.me) ?? store.botUser;

export function userName(id) {
  const user = store.users.get(id);
  return user ? user.real_name || user.name : id;
}

export function channelTitle(channel) {
  return channel.is_im ? userName(counterpart(channel)) : channel.name;
}

export const canSee = (channel) => Boolean(channel) && (isMember(channel) || (!channel.is_private && !channel.is_im));

const COLOURS = ["#e8912d", "#2bac76", "#1264a3", "#a23e48", "#7b4fa3", "#0b7a75", "#c2543a", "#4a6fa5"];
export function colourOf(id) {
  if (id === store.botUser) return "#0f4c5c";
  const people = store.people.indexOf(id);
  return COLOURS[(people < 0 ? [...String(id)].reduce((sum, letter) => sum + letter.codePointAt(0), 0) : people) % COLOURS.length];
}

export function initials(name) {
  const words = name.trim().split(/\s+/);
  return ((words[0]?.[0] ?? "?") + (words.length > 1 ? words.at(-1)[0] : "")).toUpperCase();
}

// What was read, per person: kept over reloads, so that the "New" line stands where it should.
const readKey = () => `longshore-read-${store.team.id}-${store.me}`;
let read = {};
export const unread = new Map();

export function loadRead() {
  try {
    read = JSON.parse(localStorage.getItem(readKey())) ?? {};
  } catch {
    read = {};
  }
  unread.clear();
}

export const lastRead = (place) => read[place];

export function markRead(place, ts) {
  if (!ts || read[place] >= ts) return;
  read[place] = ts;
  try {
    localStorage.setItem(readKey(), JSON.stringify(read));
  } catch {
    // Private windows may refuse; unread markers then last as long as the page.
  }
}

export function addUnread(channel, count) {
  const before = unread.get(channel) ?? { any: false, count: 0 };
  unread.set(channel, { any: true, count: before.count + count });
}

const subscribers = new Set();
export const subscribe = (callback) => subscribers.add(callback);
export function changed() {
  for (const callback of subscribers) callback();
}
