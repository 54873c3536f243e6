/**
 * NATS subject matching as nats-server documents it, written for the tests alone and on purpose differently from anything
 * in the product: patterns become regular expressions.
 */
const compiled = new Map<string, RegExp>();

export function natsMatches(pattern: string, subject: string): boolean {
  let known = compiled.get(pattern);
  if (known === undefined) {
    const source = pattern
      .split(".")
      .map((token) => (token === "*" ? "[^.]+" : token === ">" ? "[^.]+(?:\\.[^.]+)*" : escaped(token)))
      .join("\\.");
    known = new RegExp(`^${source}$`);
    compiled.set(pattern, known);
  }
  return known.test(subject);
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}
