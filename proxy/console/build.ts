/**
 * Builds the console page: `index.html`, `console.css`, `icon.svg` as they are, `console.ts` with all it needs in one
 * `console.js`. Run by itself: `node --import tsx proxy/console/build.ts [folder]`.
 */
import { copyFile, mkdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SOURCE = fileURLToPath(new URL("./", import.meta.url));
const AS_THEY_ARE = ["index.html", "console.css", "icon.svg"];

/** Sizes in bytes, by file name. */
export type BuiltConsole = Record<string, number>;

/** The proxy serves the folder's `index.html` at `/` and the folder itself under `/console/`. */
export async function buildConsole(outDir: string): Promise<BuiltConsole> {
  await mkdir(outDir, { recursive: true });
  await Promise.all([
    ...AS_THEY_ARE.map((name) => copyFile(join(SOURCE, name), join(outDir, name))),
    build({
      entryPoints: [join(SOURCE, "console.ts")],
      outfile: join(outDir, "console.js"),
      bundle: true,
      minify: true,
      format: "esm",
      platform: "browser",
      target: "es2022",
      // nats.ws mentions Node's crypto in a branch that browsers do not take.
      external: ["crypto"],
      logLevel: "silent",
    }),
  ]);
  const names = [...AS_THEY_ARE, "console.js"];
  const sizes = await Promise.all(names.map(async (name) => [name, (await stat(join(outDir, name))).size] as const));
  return Object.fromEntries(sizes);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const outDir = process.argv[2] ?? join(SOURCE, "dist");
  for (const [name, bytes] of Object.entries(await buildConsole(outDir))) {
    console.log(`${String(bytes).padStart(8)}  ${join(outDir, name)}`);
  }
}
