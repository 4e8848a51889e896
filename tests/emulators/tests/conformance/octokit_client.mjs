// GitHub's official clients against the emulator. Reads its task as JSON from the environment, prints what it saw as JSON.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const task = JSON.parse(process.env.OCTOKIT_TASK);
const require = createRequire(join(task.modules, "package.json"));
const load = (name) => {
  // Packages are ES modules: resolved from the tools' folder, not from here.
  const manifest = require(join(task.modules, name, "package.json"));
  let entry = manifest.exports?.["."] ?? manifest.exports ?? manifest.module ?? manifest.main;
  while (typeof entry !== "string") entry = entry.import ?? entry.node ?? entry.default;
  return import(pathToFileURL(join(task.modules, name, entry)));
};
const [{ Octokit }, { createAppAuth }, { verify }, oauth] = await Promise.all([
  load("octokit"),
  load("@octokit/auth-app"),
  load("@octokit/webhooks-methods"),
  load("@octokit/oauth-methods"),
]);

const { owner, repo } = task;
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const client = (options, baseUrl = task.api_url) => new Octokit({ baseUrl, log: silent, retry: { enabled: false }, throttle: { enabled: false }, ...options });
const refused = async (promise, status, text) => {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.status, status, error.message);
    if (text) assert.match(error.message, text);
    return error;
  }
  assert.fail(`expected ${status}`);
};

const steps = {
  // JWT, installation, limited token, scopes.
  async app() {
    const app = client({ authStrategy: createAppAuth, auth: { appId: task.app_id, privateKey: task.private_key } });
    assert.equal((await app.rest.apps.getAuthenticated()).data.slug, "longshore");
    const { data: installation } = await app.rest.apps.getRepoInstallation({ owner, repo });
    const all = await app.paginate(app.rest.apps.listInstallations);
    assert.deepEqual(all.map((each) => each.id), [installation.id]);
    const { data: token } = await app.rest.apps.createInstallationAccessToken({
      installation_id: installation.id, repositories: [repo], permissions: { contents: "read" },
    });
    assert.deepEqual(token.permissions, { contents: "read", metadata: "read" });
    const reader = client({ auth: token.token });
    assert.equal((await reader.rest.repos.get({ owner, repo })).data.default_branch, "main");
    await refused(reader.rest.pulls.list({ owner, repo }), 403, /Resource not accessible by integration/);
    await refused(reader.rest.git.createRef({ owner, repo, ref: "refs/heads/x", sha: task.head_sha }), 403, /not accessible/);
    await refused(reader.rest.repos.get({ owner, repo: "other" }), 404, /Not Found/);
    await refused(app.rest.apps.createInstallationAccessToken({
      installation_id: installation.id, permissions: { administration: "write" },
    }), 422, /not granted/);
    const impostor = client({ authStrategy: createAppAuth, auth: { appId: task.app_id, privateKey: task.wrong_key } });
    await refused(impostor.rest.apps.getAuthenticated(), 401, /could not be decoded/);
    // The auth strategy's own way: a token per installation, fetched on the first call.
    const asInstallation = client({
      authStrategy: createAppAuth, auth: { appId: task.app_id, privateKey: task.private_key, installationId: installation.id },
    });
    const { data } = await asInstallation.rest.apps.listReposAccessibleToInstallation();
    assert.deepEqual(data.repositories.map((each) => each.name).sort(), ["other", repo].sort());
  },

  // A pull request's whole life.
  async pulls() {
    const user = client({ auth: task.user_token }, task.web_url); // root-style base
    assert.equal((await user.rest.users.getAuthenticated()).data.login, "ada");
    assert.equal((await user.rest.users.listEmailsForAuthenticatedUser()).data[0].email, "ada@example.com");
    const draft = { owner, repo, head: "longshore/s-1", base: "main", title: "Charge once", body: "Because **twice** is too often." };
    await refused(user.rest.pulls.create({ ...draft, head: "main" }), 422, /No commits between main and main/);
    await refused(user.rest.pulls.create({ ...draft, head: "nowhere" }), 422, /"field":"head","code":"invalid"/);
    const { data: pull, status } = await user.rest.pulls.create(draft);
    assert.equal(status, 201);
    assert.equal(pull.user.login, "ada");
    const again = await refused(user.rest.pulls.create(draft), 422, /Validation Failed/);
    assert.match(again.response.data.errors[0].message, new RegExp(`^A pull request already exists for ${owner}:longshore/s-1\\.$`));
    const list = (filter) => user.rest.pulls.list({ owner, repo, ...filter }).then(({ data }) => data.map((each) => each.number));
    assert.deepEqual(await list({ head: `${owner}:longshore/s-1` }), [pull.number]);
    assert.deepEqual(await list({ head: `${owner}:main` }), []);
    assert.deepEqual(await list({ base: "elsewhere" }), []);
    const at = { owner, repo, pull_number: pull.number };
    const { data: full } = await user.rest.pulls.get(at);
    assert.equal(full.mergeable, true);
    assert.equal(full.commits, 1);
    assert.equal(full.head.sha, task.head_sha);
    const { data: files } = await user.rest.pulls.listFiles(at);
    assert.deepEqual(files.map((each) => [each.filename, each.status]), [["app.txt", "modified"]]);
    assert.match(files[0].patch, /^@@ .*\n/);
    const { data: commits } = await user.rest.pulls.listCommits(at);
    assert.equal(commits[0].commit.author.email, "ada@example.com");
    assert.equal(commits[0].author.login, "ada");
    await user.rest.pulls.update({ ...at, body: "Now with a body." });
    assert.equal((await user.rest.pulls.get(at)).data.body, "Now with a body.");
    await refused(user.rest.pulls.createReview({ ...at, event: "APPROVE" }), 422, /approve your own/);
    await user.rest.pulls.requestReviewers({ ...at, reviewers: ["grace"] });
    await refused(user.rest.pulls.requestReviewers({ ...at, reviewers: ["mallory"] }), 422, /not a collaborator/);
    const grace = client({ auth: task.reviewer_token });
    await grace.rest.pulls.createReview({ ...at, event: "APPROVE", body: "Good." });
    assert.equal((await user.rest.pulls.listReviews(at)).data[0].state, "APPROVED");
    for (let index = 0; index < 5; index++) {
      await user.rest.issues.createComment({ owner, repo, issue_number: pull.number, body: `note ${index}` });
    }
    const comments = await user.paginate(user.rest.issues.listComments, { owner, repo, issue_number: pull.number, per_page: 2 });
    assert.deepEqual(comments.map((each) => each.body), [0, 1, 2, 3, 4].map((index) => `note ${index}`));
    const { data: labels } = await user.rest.issues.addLabels({ owner, repo, issue_number: pull.number, labels: ["longshore"] });
    assert.equal(labels[0].name, "longshore");
    await user.rest.pulls.merge(at);
    assert.equal((await user.rest.pulls.get(at)).data.merged, true);
    assert.equal((await user.rest.pulls.checkIfMerged(at)).status, 204);
    await refused(user.rest.pulls.merge(at), 405);
  },

  // Repository reads, refs, permissions, checks.
  async repository() {
    const user = client({ auth: task.user_token });
    const { data: branch } = await user.rest.repos.getBranch({ owner, repo, branch: "longshore/s-1" });
    assert.equal(branch.commit.sha, task.head_sha);
    const { data: comparison } = await user.rest.repos.compareCommitsWithBasehead({ owner, repo, basehead: "main...longshore/s-1" });
    assert.deepEqual([comparison.status, comparison.ahead_by, comparison.behind_by], ["ahead", 1, 0]);
    const { data: content } = await user.rest.repos.getContent({ owner, repo, path: "app.txt" });
    assert.equal(Buffer.from(content.content, "base64").toString(), "one\ntwo\n");
    const { data: root } = await user.rest.repos.getContent({ owner, repo, path: "" });
    assert.ok(root.some((each) => each.name === "app.txt" && each.type === "file"));
    const main = (await user.rest.git.getRef({ owner, repo, ref: "heads/main" })).data.object.sha;
    await user.rest.git.createRef({ owner, repo, ref: "refs/heads/extra/one", sha: main });
    await refused(user.rest.git.createRef({ owner, repo, ref: "refs/heads/extra/one", sha: main }), 422, /already exists/);
    await user.rest.git.updateRef({ owner, repo, ref: "heads/extra/one", sha: task.head_sha });
    await refused(user.rest.git.updateRef({ owner, repo, ref: "heads/extra/one", sha: main }), 422, /not a fast forward/);
    await user.rest.git.deleteRef({ owner, repo, ref: "heads/extra/one" });
    await refused(user.rest.git.getRef({ owner, repo, ref: "heads/extra/one" }), 404);
    const level = (username) => user.rest.repos.getCollaboratorPermissionLevel({ owner, repo, username }).then(({ data }) => data.permission);
    assert.equal(await level("ada"), "write");
    assert.equal(await level("mallory"), "none");
    await refused(client({ auth: task.outsider_token }).rest.repos.get({ owner, repo }), 404);
    await refused(client({ auth: "ghp_nonsense" }).rest.repos.get({ owner, repo }), 401, /Bad credentials/);
    await user.rest.repos.createCommitStatus({ owner, repo, sha: task.head_sha, state: "success", context: "ci" });
    const { data: status } = await user.rest.repos.getCombinedStatusForRef({ owner, repo, ref: task.head_sha });
    assert.equal(status.state, "success");
    const { headers } = await user.rest.rateLimit.get();
    assert.ok(Number(headers["x-ratelimit-remaining"]) < 5000);
  },

  // OAuth web flow, with refresh; PKCE by hand, since the library has none.
  async oauth() {
    const options = { clientType: "github-app", clientId: task.client_id, clientSecret: task.client_secret };
    const { request } = client({});
    const { url } = oauth.getWebFlowAuthorizationUrl({ clientType: "github-app", clientId: task.client_id, redirectUrl: task.redirect, state: "s1", baseUrl: task.web_url, request });
    const authorize = async (address) => {
      const answer = await fetch(address, { redirect: "manual" });
      assert.equal(answer.status, 303);
      return new URL(answer.headers.get("location"));
    };
    const back = await authorize(url);
    assert.equal(back.searchParams.get("state"), "s1");
    const code = back.searchParams.get("code");
    const { authentication } = await oauth.exchangeWebFlowCode({ ...options, code, request });
    assert.equal((await client({ auth: authentication.token }).rest.users.getAuthenticated()).data.login, "ada");
    await assert.rejects(oauth.exchangeWebFlowCode({ ...options, code, request }), /incorrect or expired/);
    const renewed = await oauth.refreshToken({ ...options, refreshToken: authentication.refreshToken, request });
    const user = client({ auth: renewed.authentication.token });
    const { data } = await user.rest.apps.listInstallationsForAuthenticatedUser();
    assert.equal(data.total_count, 1);
    const { createHash } = await import("node:crypto");
    const verifier = "v".repeat(64);
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    const exchange = async (code_verifier) => {
      const address = new URL(`${task.web_url}/login/oauth/authorize`);
      address.search = new URLSearchParams({ client_id: task.client_id, redirect_uri: task.redirect, code_challenge: challenge, code_challenge_method: "S256" });
      const code = (await authorize(address)).searchParams.get("code");
      const body = new URLSearchParams({ client_id: task.client_id, client_secret: task.client_secret, code, code_verifier });
      return (await fetch(`${task.web_url}/login/oauth/access_token`, { method: "POST", body, headers: { accept: "application/json" } })).json();
    };
    assert.equal((await exchange("wrong")).error, "bad_verification_code");
    assert.match((await exchange(verifier)).access_token, /^ghu_/);
  },

  async webhooks() {
    for (const { body, signature } of task.deliveries) {
      assert.equal(await verify(task.webhook_secret, body, signature), true);
      assert.equal(await verify(`${task.webhook_secret}x`, body, signature), false);
    }
  },
};

await steps[task.step]();
console.log("ok");
