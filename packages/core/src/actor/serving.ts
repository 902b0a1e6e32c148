/** Serving: an actor's handlers, checked, and the server that calls them. */
import { wantFunction, wantFunctions, wantObject } from '../args.js';
import type { IoctlHandler } from './ipc.js';
import { type Handlers, Server } from './server.js';
import type { Services } from './services.js';

/** What an actor of the user's own does with jobs and ioctls. */
export interface ServeHandlers extends Handlers {
  ioctl?: IoctlHandler;
}

/** A server of this thread's jobs and mail. TypeError: a handler is no function, or `run` is missing. */
export function serverOf(services: Services, handlers: ServeHandlers): Server {
  wantObject('serve', 'handlers', handlers);
  wantFunction('serve', 'run', handlers.run);
  wantFunctions('serve', handlers, ['failed', 'accepts', 'tick', 'stop', 'ioctl']);
  const { kernel, regions, jobs, bell, inbox, ipc } = services;
  // Handlers may be an instance of a class.
  const ioctl = handlers.ioctl?.bind(handlers);
  const mail = { read: () => ipc.serve(ioctl), isEmpty: () => ipc.isEmpty };
  return new Server(kernel, regions, jobs, bell, inbox, handlers, mail);
}
