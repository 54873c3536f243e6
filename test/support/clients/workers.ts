/** So many workers that do a piece of work again and again, until they are stopped. */
export type Workers = {
  /** How many pieces were done. */
  written: () => number;
  /** @throws what a worker met */
  stop(): Promise<void>;
};

/** @param work one piece, by the worker of that number; false where it came to nothing */
export function startWorkers(count: number, work: (index: number) => Promise<boolean>): Workers {
  let written = 0;
  let stopped = false;
  const run = async (index: number) => {
    while (!stopped) if (await work(index)) written++;
  };
  const running = Promise.all([...Array(count).keys()].map(run));
  running.catch(() => {}); // Told by stop().
  return {
    written: () => written,
    async stop() {
      stopped = true;
      await running;
    },
  };
}
