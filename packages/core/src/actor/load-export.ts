/** Loads a named export of a module that is given by URL (driver halves, device halves). */
export async function loadExport<T>(url: string, name: string, whose: string): Promise<T> {
  const module = (await import(url)) as Readonly<Record<string, unknown>>;
  const value = module[name];
  if (value === undefined) throw new TypeError(`${whose}: module ${url} exports no '${name}'`);
  return value as T;
}
