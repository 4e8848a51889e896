// Starts the page, keeps it up to date, and joins its parts.

import { api, listen } from "./api.js";
import { channelHead, channelIntro, drawHome, threadHead } from "./heads.js";
import { Composer } from "./composer.js";
import { h, iconButton, replace } from "./dom.js";
import { drawHints } from "./hints.js";
import { navigation } from "./inline.js";
import { MessageList } from "./list.js";
import { showViews } from "./modal.js";
import { addressOf, placeOf } from "./places.js";
import { closePopup, toast } from "./popup.js";
import { drawRail, drawSidebar, drawSwitcher } from "./sidebar.js";
import {
  addUnread,
  adopt,
  canSee,
  channelTitle,
  changed,
  isMember,
  lastRead,
  loadRead,
  markRead,
  store,
  subscribe,
  unread,
  visibleChannels,
} from "./store.js";

const $ = (id) => document.getElementById(id);
const ME = "longshore-me";
const drafts = new Map();
const notices = [];
let events = null;
let newAfter = null;
let pendingReveal = null;
let shownDraft = { main: null, thread: null };

// Reading again. One read at a time each; what changes meanwhile causes one more.
function coalesced(read) {
  let running = false;
  let again = false;
  return async () => {
    again = true;
    if (running) return;
    running = true;
    try {
      while (again) {
        again = false;
        await read();
      }
    } catch (error) {
      if (store.online) toast(error.message);
    } finally {
      running = false;
    }
  };
}

const notice = (text, channel, thread) => {
  const ts = `${(Date.now() / 1000).toFixed(3)}000`;
  notices.push({ user: "USLACKBOT", for: store.me, channel, thread_ts: thread, ts, text, is_ephemeral: true, local: true });
  refreshAll();
};

const hiddenOf = async (channel) => {
  const local = notices.filter((each) => each.channel === channel && each.for === store.me);
  return [...(await api.ephemeral(store.me, channel)), ...local];
};

const byTs = (a, b) => (a.ts < b.ts ? -1 : 1);

const refreshChannel = coalesced(async () => {
  const { channel, me, tab } = store;
  if (!channel || tab === "home") return;
  const [messages, hidden] = await Promise.all([api.messages(channel), hiddenOf(channel)]);
  if (channel !== store.channel || me !== store.me || store.tab === "home") return;
  const all = [...messages, ...hidden.filter((message) => !message.thread_ts)].sort(byTs);
  for (const message of messages)
    if (message.latest_reply && lastRead(message.ts) === undefined) markRead(message.ts, message.latest_reply);
  const followed = (message) => message.user === store.me || message.reply_users?.includes(store.me);
  channelList.show(`${me} ${channel}`, channel, all, {
    intro: channelIntro(store.channels.get(channel)),
    newAfter,
    threadUnread: (message) => store.thread !== message.ts && followed(message) && message.latest_reply > (lastRead(message.ts) ?? "9"),
  });
  if (!document.hidden) {
    markRead(channel, messages.at(-1)?.ts ?? "0");
    if (unread.delete(channel)) changed();
  }
  if (pendingReveal?.channel === channel && !pendingReveal.thread) reveal(channelList);
});

const refreshThread = coalesced(async () => {
  const { channel, thread, me } = store;
  if (!thread) return;
  let answer;
  try {
    answer = await api.thread(channel, thread);
  } catch {
    // The root was deleted.
    if (thread === store.thread) openThread(null);
    return;
  }
  const hidden = await hiddenOf(channel);
  if (channel !== store.channel || thread !== store.thread || me !== store.me) return;
  const all = [...answer.messages, ...hidden.filter((message) => message.thread_ts === thread)].sort(byTs);
  threadList.show(`${me} ${channel} ${thread}`, channel, all);
  threadHead($("thread-head"), store.channels.get(channel), answer.title, () => openThread(null));
  drawStatus(answer);
  if (!document.hidden) markRead(thread, answer.messages.at(-1)?.ts);
  if (pendingReveal?.thread === thread) reveal(threadList);
});

const refreshViews = coalesced(async () => {
  const { me } = store;
  const views = await api.views(me);
  if (me === store.me) showViews(views);
});

const refreshHome = coalesced(async () => {
  if (store.tab !== "home") return;
  const { me } = store;
  const view = await api.home(me);
  if (me === store.me && store.tab === "home") drawHome($("home"), view);
});

const refreshState = coalesced(async () => {
  const before = JSON.stringify([[...store.channels], [...store.users]]);
  adopt(await api.state());
  if (before !== JSON.stringify([[...store.channels], [...store.users]])) changed();
});

function refreshAll() {
  refreshChannel();
  refreshThread();
}

function reveal(list) {
  const { ts } = pendingReveal;
  pendingReveal = null;
  if (ts) list.reveal(ts);
}

function drawStatus({ status, prompts }) {
  const name = store.users.get(store.botUser)?.real_name ?? "The app";
  replace(
    $("thread-status"),
    status && h("div.assistant-status", null, h("span.pulse", { "aria-hidden": "true" }), `${name} ${status}`),
    prompts?.length > 0 &&
      h(
        "div.suggestions",
        null,
        (prompts.prompts ?? prompts).map((prompt) =>
          h("button.suggestion", { type: "button", onclick: () => send(prompt.message, [], store.thread) }, prompt.title),
        ),
      ),
  );
}

// What a person does.

async function send(text, files, thread) {
  const { channel, me } = store;
  try {
    if (text.startsWith("/") && !files.length) {
      await api.slash({ user: me, channel, text, thread_ts: thread ?? undefined });
    } else {
      const { ts } = await api.post({ user: me, channel, text, thread_ts: thread ?? undefined, files });
      if (!thread) markRead(channel, ts);
      newAfter = thread ? newAfter : null;
    }
    (thread ? threadList : channelList).sticks = true;
    refreshAll();
    return true;
  } catch (error) {
    notice(escaped(error.message), channel, thread);
    return text.startsWith("/") ? true : false;
  }
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const acts = {
  openThread: (ts) => openThread(ts, { focus: true }),
  dismissNotice: (ts) => {
    notices.splice(
      notices.findIndex((each) => each.ts === ts),
      1,
    );
    refreshAll();
  },
};

function openChannel(id, { tab = "messages", thread = null, ts = null, focus = true } = {}) {
  const channel = store.channels.get(id);
  if (!canSee(channel)) return toast("This channel cannot be seen by whom you act as.");
  closePopup();
  const other = id !== store.channel || tab !== store.tab;
  if (id !== store.channel) {
    const known = lastRead(id);
    newAfter = unread.get(id)?.any ? known : null;
  }
  Object.assign(store, { channel: id, tab, thread });
  unread.delete(id);
  pendingReveal = ts && { channel: id, thread, ts };
  document.body.classList.remove("sidebar-open");
  remember();
  changed();
  if (tab === "home") refreshHome();
  refreshAll();
  if (channel.is_im && other) api.openTab({ user: store.me, tab }).catch(() => {});
  if (focus && matchMedia("(min-width: 721px)").matches) mainComposer.focus();
}

function openThread(ts, { focus = false } = {}) {
  store.thread = ts;
  remember();
  changed();
  refreshAll();
  if (ts && focus) threadComposer.focus();
  if (!ts) mainComposer.focus();
}

function openFirst() {
  const { joined, open } = visibleChannels();
  const first = joined.find((channel) => channel.is_general) ?? joined[0] ?? open[0];
  if (first) openChannel(first.id);
}

function actAs(id) {
  if (id === store.me) return;
  begin(id);
  if (!canSee(store.channels.get(store.channel)) || store.channels.get(store.channel)?.is_im) {
    const wasIm = store.channels.get(store.channel)?.is_im;
    const im = visibleChannels().ims[0];
    if (wasIm && im) openChannel(im.id, { tab: store.tab });
    else openFirst();
  } else openChannel(store.channel, { thread: store.thread });
}

function begin(id) {
  store.me = id;
  try {
    localStorage.setItem(ME, id);
  } catch {
    // Asked again at the next load.
  }
  loadRead();
  showViews([]);
  events?.close();
  events = listen(id, {
    onopen: async () => {
      online(true);
      await refreshState();
      refreshAll();
      refreshViews();
      refreshHome();
    },
    onlost: () => online(false),
    onchange,
  });
}

function online(is) {
  store.online = is;
  $("offline").hidden = is;
}

// What happens elsewhere.

function onchange(change) {
  switch (change.kind) {
    case "lagged":
      refreshState();
      refreshAll();
      refreshViews();
      return refreshHome();
    case "views":
      return refreshViews();
    case "home":
      return refreshHome();
    case "channel":
      return refreshState().then(refreshAll);
    case "refused":
      return undefined;
    default:
      if (change.channel && !store.channels.has(change.channel)) refreshState();
      if (!change.channel || change.channel === store.channel) refreshAll();
      if (change.kind === "message" && change.channel && (change.channel !== store.channel || document.hidden)) return consider(change);
      return undefined;
  }
}

/** Whether a message elsewhere makes its channel unread for whom one acts as, and whether it is for them in person. */
async function consider({ channel, ts, thread_ts: thread }) {
  const room = store.channels.get(channel);
  if (!isMember(room)) return;
  const { me } = store;
  const { messages } = await api.thread(channel, thread ?? ts).catch(() => ({ messages: [] }));
  const message = messages.find((each) => each.ts === ts);
  if (!message || message.user === me || me !== store.me) return;
  const named = message.text?.includes(`<@${me}>`) || /<!(here|channel|everyone)>/.test(message.text ?? "");
  const reply = Boolean(thread) && thread !== ts;
  const takesPart = reply && messages.some((each) => each.user === me && each.ts !== ts);
  if (reply && !takesPart && !named && !room.is_im) return;
  addUnread(channel, named || room.is_im || takesPart ? 1 : 0);
  changed();
}

// Addresses.

function remember() {
  const url = addressOf(store);
  if (location.pathname + location.hash !== url) history.pushState(null, "", url);
}

function follow(url) {
  const place = placeOf(url);
  if (!place || !canSee(store.channels.get(place.channel))) return false;
  openChannel(place.channel, { ...place.options, focus: false });
  return true;
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.ctrlKey || event.metaKey || anchor.origin !== location.origin || !anchor.pathname.startsWith("/archives/")) return;
  if (follow(new URL(anchor.href))) event.preventDefault();
});
window.addEventListener("popstate", () => follow(new URL(location.href)));

// Drawing.

function draw() {
  const channel = store.channels.get(store.channel);
  document.title = `${[...unread.values()].some((each) => each.count) ? "● " : ""}${channel ? `${channel.is_im ? "" : "#"}${channelTitle(channel)} – ` : ""}${store.team.name}`;
  drawSidebar($("sidebar"), { openChannel });
  drawRail($("rail"), { openChannel, openFirst });
  drawSwitcher($("switcher"), { actAs });
  document.body.classList.toggle("thread-open", Boolean(store.thread));
  $("thread").hidden = !store.thread;
  if (!channel) return;
  channelHead($("channel-head"), channel, { openTab: (tab) => openChannel(store.channel, { tab }), newChat, join });
  const home = store.tab === "home";
  $("home").hidden = !home;
  $("channel-list").hidden = home;
  const may = isMember(channel) && !channel.is_archived;
  $("composer").hidden = home || !may;
  $("thread-composer").hidden = !may;
  drawBar(home || may ? null : channel);
  const title = channel.is_im ? channelTitle(channel) : `#${channelTitle(channel)}`;
  mainComposer.label = `Message ${title}`;
  swapDraft("main", mainComposer, `${store.me} ${store.channel}`);
  swapDraft("thread", threadComposer, `${store.me} ${store.channel} ${store.thread}`);
}

/** What was typed stays with its place. */
function swapDraft(which, composer, key) {
  if (shownDraft[which] === key) return;
  if (shownDraft[which]) drafts.set(shownDraft[which], composer.text);
  shownDraft[which] = key;
  composer.text = drafts.get(key) ?? "";
}

function drawBar(channel) {
  $("bar").hidden = !channel;
  if (!channel) return;
  replace(
    $("bar"),
    channel.is_archived
      ? h("p", null, "You are viewing an archived channel.")
      : [
          h("p", null, "You are looking at ", h("strong", null, `#${channel.name}`)),
          h("button.button.primary", { type: "button", onclick: join }, "Join channel"),
        ],
  );
}

async function join() {
  await api.join({ user: store.me, channel: store.channel }).catch((error) => toast(error.message));
  refreshState();
}

async function newChat() {
  try {
    const { channel, thread_ts: thread } = await api.assistant({ user: store.me });
    openChannel(channel, { thread });
    threadComposer.focus();
  } catch (error) {
    toast(error.message);
  }
}

function pickHint({ text, channel }) {
  if (channel && canSee(store.channels.get(channel))) openChannel(channel);
  else if (store.tab === "home") openChannel(store.channel);
  if ($("composer").hidden) openFirst();
  // In a narrow window the thread stands where the channel's composer would be.
  if (!mainComposer.node.checkVisibility()) openThread(null);
  mainComposer.text = text;
  mainComposer.focus();
}

const channelList = new MessageList($("channel-list"), { place: "channel", label: "Messages", acts });
const threadList = new MessageList($("thread-list"), { place: "thread", label: "Thread", acts: { ...acts, openThread: undefined } });
const mainComposer = new Composer($("composer"), {
  label: "Message",
  onsend: (text, files) => send(text, files, null),
  onempty: () => channelList.editLast(),
});
const threadComposer = new Composer($("thread-composer"), {
  label: "Reply…",
  onsend: (text, files) => send(text, files, store.thread),
  onempty: () => threadList.editLast(),
});

navigation.openChannel = (id) => openChannel(id);
$("thread").addEventListener("keydown", (event) => event.key === "Escape" && !event.defaultPrevented && openThread(null));
$("menu").append(iconButton("menu", "Channels", () => document.body.classList.toggle("sidebar-open")));
$("shade").addEventListener("click", () => document.body.classList.remove("sidebar-open"));
document.addEventListener("visibilitychange", () => !document.hidden && store.channel && refreshAll());
// "2 minutes ago" must not stay so, and an assistant's status fades without an event.
setInterval(() => !document.hidden && store.channel && refreshAll(), 30_000);

async function start() {
  try {
    adopt(await api.state());
  } catch (error) {
    online(false);
    return setTimeout(start, 1000);
  }
  subscribe(draw);
  const asked = new URLSearchParams(location.search).get("user");
  let kept = null;
  try {
    kept = localStorage.getItem(ME);
  } catch {
    // Then the first.
  }
  begin([asked, kept].find((id) => store.people.includes(id)) ?? store.people[0]);
  if (!follow(new URL(location.href))) openFirst();
  drawHints($("hints"), $("hints-button"), await api.hints(), pickHint);
  return undefined;
}

start();
