/** The bytes are not what the Arrow IPC format says. */
export class IpcError extends Error {}
