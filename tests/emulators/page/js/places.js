// Where one looks as an address: `#C1`, `#C1/1700000000.000100` (a thread), `#C1/home`. Slack's own permalinks
// (`/archives/C1/p1700000000000100?thread_ts=…`) lead here too.

export function addressOf({ channel, tab, thread }) {
  const tail = tab === "home" ? "/home" : thread ? `/${thread}` : "";
  return `/#${channel}${tail}`;
}

/** `{channel, options}` for `openChannel`, or nothing. */
export function placeOf(url) {
  const archive = /^\/archives\/(\w+)(?:\/p(\d+)(\d{6}))?$/.exec(url.pathname);
  if (archive) {
    const ts = archive[2] ? `${archive[2]}.${archive[3]}` : null;
    return { channel: archive[1], options: { ts, thread: url.searchParams.get("thread_ts") } };
  }
  const hash = /^#(\w+)(?:\/([\d.]+|home))?$/.exec(url.hash);
  if (!hash) return null;
  return { channel: hash[1], options: hash[2] === "home" ? { tab: "home" } : { thread: hash[2] ?? null } };
}
