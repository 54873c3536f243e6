/** One JSON log line as a person reads it: `12:04:07.123 INFO  bridge: commit published  lsn=0/16B3748 events=3`. Pure. */

const COLOUR: Record<string, string> = {
  trace: "90",
  debug: "90",
  info: "32",
  warn: "33",
  error: "31",
  fatal: "41;97",
};

type LogEntry = Record<string, unknown>;

export function prettyLine(json: string, { colours }: { colours: boolean }): string {
  const entry = parse(json);
  if (!entry) return json.trimEnd();
  const { time, level, component, msg, err, error, ...fields } = entry;
  const paint = (code: string, text: string) => (colours && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text);
  const name = String(level ?? "info");
  const failure = isEntry(err) ? err : isEntry(error) ? error : null;
  const words = [
    paint("90", clockOf(time)),
    paint(COLOUR[name] ?? "0", name.toUpperCase().padEnd(5)),
    `${component === undefined ? "" : `${paint("36", String(component))}: `}${String(msg ?? "")}`,
  ];
  const extra = Object.entries(fields).map(([key, value]) => `${paint("90", `${key}=`)}${shown(value)}`);
  const head = [words.join(" "), ...(extra.length > 0 ? [extra.join(" ")] : [])].join("  ");
  return failure ? `${head}${failureLines(failure, name)}` : head;
}

/** Below `error` the message of a failure is enough: the work will be retried. */
function failureLines(failure: LogEntry, level: string): string {
  const stack = typeof failure.stack === "string" && (level === "error" || level === "fatal") ? failure.stack : null;
  const text = stack ?? String(failure.message ?? "");
  return text === "" ? "" : `\n    ${text.split("\n").join("\n    ")}`;
}

function shown(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? String(value));
  return typeof value === "string" && /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

/** Local wall-clock time: a person at a terminal compares it with the clock beside it. */
function clockOf(time: unknown): string {
  const date = new Date(typeof time === "number" || typeof time === "string" ? time : Number.NaN);
  if (Number.isNaN(date.getTime())) return "";
  const pad = (value: number, width = 2) => String(value).padStart(width, "0");
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

function parse(json: string): LogEntry | null {
  try {
    const value: unknown = JSON.parse(json);
    return isEntry(value) ? value : null;
  } catch {
    return null;
  }
}

function isEntry(value: unknown): value is LogEntry {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
