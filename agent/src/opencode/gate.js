// Asks the service before each tool call whether it may go on, and does what it is told: go on, go on with other arguments, fail with a reason, or
// wait. OpenCode loads this file twice per process, and a tool call may come through both: what is shared lies on `globalThis`, and one call is one
// question. It is cooperation, not protection: what the sandbox may do is decided at the gateway.

const shared = (globalThis[Symbol.for("longshore.gate")] ??= {
  // Tools that need not be asked about, and until when (milliseconds); the service says so.
  free: new Set(),
  until: 0,
  // Questions under way or answered, by the object that OpenCode hands to every hook of one call.
  asked: new WeakMap(),
  told: new WeakSet(),
  // Calls whose end the service wants to hear of, with what it was asked about them.
  wanted: new Map(),
})

const LONGEST_TEXT = 32 * 1024
const LONGEST_PAUSE = 2000
const MOST_WANTED = 1000

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))

// The service needs paths and commands, not whole files. What was cut is named.
function outline(value, path, cut) {
  if (typeof value === "string" && value.length > LONGEST_TEXT) {
    cut.push(path)
    return value.slice(0, LONGEST_TEXT)
  }
  if (Array.isArray(value)) {
    if (value.length > 256) cut.push(path)
    return value.slice(0, 256).map((one, index) => outline(one, `${path}.${index}`, cut))
  }
  if (value && typeof value === "object") {
    const entries = Object.entries(value)
    return Object.fromEntries(entries.map(([key, one]) => [key, outline(one, path ? `${path}.${key}` : key, cut)]))
  }
  return value
}

// Until there is an answer: a service that is away must not let a call through, nor fail it.
async function ask(question) {
  const body = JSON.stringify(question)
  const headers = { "content-type": "application/json", authorization: `Bearer ${process.env.LONGSHORE_TOKEN}` }
  let pause = 50
  for (;;) {
    try {
      const response = await fetch(process.env.LONGSHORE_TOOL_HOOK, { method: "POST", headers, body, signal: AbortSignal.timeout(60_000) })
      if (response.ok) {
        const answer = await response.json()
        if (answer.decision !== "wait") return answer
        pause = 50
      }
    } catch {
      // Asked again.
    }
    await sleep(pause)
    pause = Math.min(pause * 2, LONGEST_PAUSE)
  }
}

async function before(input, output) {
  const cut = []
  const outlined = outline(output.args ?? {}, "", cut)
  const question = { when: "before", tool: input.tool, session: input.sessionID, call: input.callID, arguments: outlined, cut }
  const answer = await ask(question)
  if (answer.free) {
    shared.free = new Set(answer.free.tools)
    shared.until = Date.now() + answer.free.seconds * 1000
  }
  if (answer.decision === "allow") {
    if (answer.arguments) Object.assign(output.args, answer.arguments)
    // Those that fail come to no end that is told of.
    if (shared.wanted.size >= MOST_WANTED) shared.wanted.clear()
    if (answer.after) shared.wanted.set(`${input.sessionID} ${input.callID}`, question)
    return
  }
  throw new Error(answer.reason ?? "longshore: this tool call was refused")
}

async function after(input, output) {
  const key = `${input.sessionID} ${input.callID}`
  const question = shared.wanted.get(key)
  if (!question) return
  shared.wanted.delete(key)
  const answer = await ask({ ...question, when: "after" })
  if (!answer.note) return
  // A tool server's result is a list of contents, any other tool's a text.
  if (Array.isArray(output.content)) output.content.push({ type: "text", text: answer.note })
  else output.output = `${output.output ?? ""}\n\n${answer.note}`
}

export const LongshoreGate = async () => ({
  "tool.execute.before": async (input, output) => {
    if (shared.free.has(input.tool) && Date.now() < shared.until) return
    if (!shared.asked.has(output)) shared.asked.set(output, before(input, output))
    await shared.asked.get(output)
  },
  "tool.execute.after": async (input, output) => {
    if (!output || shared.told.has(output)) return
    shared.told.add(output)
    await after(input, output)
  },
})
