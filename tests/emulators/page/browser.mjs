// A real browser for the scripts beside this: playwright-core (target/tools/node/node_modules, or the folder in PLAYWRIGHT_CORE) and a Chromium
// (CHROMIUM, default /usr/bin/chromium).

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export function browser() {
  const workspace = fileURLToPath(new URL("../../../target/tools/node/node_modules", import.meta.url));
  for (const folder of [process.env.PLAYWRIGHT_CORE, workspace].filter(Boolean)) {
    if (existsSync(join(folder, "playwright-core"))) return createRequire(`${folder}/`)(join(folder, "playwright-core")).chromium;
  }
  console.error("playwright-core is in neither target/tools/node/node_modules nor the folder in PLAYWRIGHT_CORE: run make setup");
  process.exit(2);
}

export const launch = (chromium) =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
