/**
 * A stack of releases: each acquired resource registers its release, and closing calls all releases, last acquired first.
 * The first error is kept and thrown after everything has been tried, so a half-built service is undone completely.
 */
import { setMaxListeners } from "node:events";

type Release = () => unknown;

export type Scope = AsyncDisposable & {
  /** Aborted as soon as closing begins; loops and waits under this scope end then. */
  readonly signal: AbortSignal;
  /** Registers a release. On a scope that is already closing it is run at once and this throws, so that a late start undoes itself. */
  defer(name: string, release: Release): void;
  /** Registers a resource with its release and returns the resource. */
  use<T>(name: string, resource: T, release: (resource: T) => unknown): T;
  /** A scope that closes with this one, or before it. */
  child(name: string): Scope;
  /** Releases everything, last first. Repeated calls wait for the same closing. */
  close(): Promise<void>;
};

type Resource = { name: string; release: Release };

export function createScope(onError: (name: string, error: unknown) => void = () => {}): Scope {
  const entries: Resource[] = [];
  const controller = new AbortController();
  // Each session may wait for its end.
  setMaxListeners(0, controller.signal);
  let closing: Promise<void> | null = null;

  async function releaseAll(): Promise<void> {
    controller.abort(new Error("the scope is closing"));
    const failures: unknown[] = [];
    for (let entry = entries.pop(); entry; entry = entries.pop()) {
      try {
        await entry.release();
      } catch (error) {
        failures.push(error);
        onError(entry.name, error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }

  const scope: Scope = {
    signal: controller.signal,
    defer(name, release) {
      if (closing) {
        // Released in the order of arrival: a caller this late acquires nothing that depends on it.
        void Promise.resolve()
          .then(release)
          .catch((error: unknown) => onError(name, error));
        throw new Error(`cannot acquire ${name}: the scope is closed`);
      }
      entries.push({ name, release });
    },
    use(name, resource, release) {
      scope.defer(name, () => release(resource));
      return resource;
    },
    child(name) {
      const inner = createScope(onError);
      const release = () => inner.close();
      scope.defer(name, release);
      // A child that closes first is removed here: a loop that creates one for each attempt would otherwise fill the parent.
      inner.defer("its place in the parent", () => {
        const index = entries.findIndex((entry) => entry.release === release);
        if (index >= 0) entries.splice(index, 1);
      });
      return inner;
    },
    close() {
      closing ??= releaseAll();
      return closing;
    },
    [Symbol.asyncDispose]: () => scope.close(),
  };
  return scope;
}
