/**
 * First thing that an actor's worker runs: imports the actor's entry and gives it the task.
 *
 * Piscina would `require()` the entry itself, and a worker that is terminated while it requires an ES module takes
 * the whole process along: Node (20.20, 22.23) asks V8 whether the graph is asynchronous without looking whether
 * linking it was cut short ("FATAL ERROR: v8::Module::IsGraphAsync must be used on an instantiated module"). An
 * `import()` looks. CommonJS, so that what Piscina requires is not itself such a module.
 */
interface Entry {
  readonly main: string;
  readonly task: unknown;
}

async function enter({ main, task }: Entry): Promise<void> {
  const { default: live } = (await import(main)) as { default: (task: unknown) => Promise<void> };
  await live(task);
}

module.exports = enter;
