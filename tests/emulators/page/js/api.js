// The emulator's people's side: `/client/…` and its events.

export class ApiError extends Error {}

async function call(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ApiError("The workspace cannot be reached.");
  }
  const body = await response.json().catch(() => null);
  if (!response.ok || body?.ok === false) throw new ApiError(body?.error ?? `The workspace answered ${response.status}.`);
  return body;
}

const get = (path) => call(path, { headers: { accept: "application/json" } });
const post = (path, body) => call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
const part = encodeURIComponent;

/** Most messages of a channel that the page shows. */
const MOST_SHOWN = 300;

export const api = {
  state: () => get("/client/state"),
  messages: (channel) => get(`/client/channels/${part(channel)}/messages?limit=${MOST_SHOWN}`).then((body) => body.messages),
  thread: (channel, ts) => get(`/client/channels/${part(channel)}/threads/${part(ts)}`),
  ephemeral: (user, channel) => get(`/client/users/${part(user)}/ephemeral?channel=${part(channel)}`).then((body) => body.messages),
  views: (user) => get(`/client/users/${part(user)}/views`).then((body) => body.views),
  home: (user) => get(`/client/users/${part(user)}/home`).then((body) => body.view),
  post: (body) => post("/client/post", body),
  edit: (body) => post("/client/edit", body),
  remove: (body) => post("/client/delete", body),
  dismiss: (body) => post("/client/dismiss", body),
  react: (body) => post("/client/react", body),
  action: (body) => post("/client/action", body),
  options: (body) => post("/client/options", body),
  submit: (body) => post("/client/views/submit", body),
  close: (body) => post("/client/views/close", body),
  slash: (body) => post("/client/slash", body),
  shortcut: (body) => post("/client/shortcut", body),
  openTab: (body) => post("/client/home", body),
  assistant: (body) => post("/client/assistant", body),
  join: (body) => post("/client/join", body),
  hints: () => get("/demo/hints").catch(() => null),
};

/** Reads the events of one person until `close()`. The browser reconnects; what was missed is read again by `onopen`. */
export function listen(user, { onchange, onopen, onlost }) {
  const source = new EventSource(`/client/events?user=${part(user)}`);
  let retry;
  source.onopen = onopen;
  source.onmessage = (event) => onchange(JSON.parse(event.data));
  source.onerror = () => {
    onlost();
    // A browser gives up for good where the answer was no event stream (a proxy's error page).
    if (source.readyState === EventSource.CLOSED)
      retry = setTimeout(() => (handle.inner = listen(user, { onchange, onopen, onlost })), 1000);
  };
  const handle = {
    inner: null,
    close() {
      clearTimeout(retry);
      source.close();
      handle.inner?.close();
    },
  };
  return handle;
}
