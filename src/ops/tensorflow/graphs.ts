/** Graphs of kernels: the only way that tfjs-node's addon has to one is a SavedModel in a folder. */
import { nodeBackend } from './binding.ts';
import { GRAPH_TAG, type GraphNode, savedModel } from './savedModel.ts';

/** Calls `load` with a folder that holds a file of these bytes, and removes the folder. */
type InFolder = (file: string, bytes: Uint8Array, load: (folder: string) => number) => number;

let inFolder: InFolder | undefined;

/** Loads graphs by way of folders that a function makes. */
export function useFolders(newInFolder: InFolder): void {
  inFolder = newInFolder;
}

/** The graphs that were loaded, by their sessions. */
const graphs = new Map<number, readonly GraphNode[]>();

/** A session with the graph. */
export function loadGraph(nodes: readonly GraphNode[]): number {
  if (!inFolder) throw new Error('Graphs need the tensorflow backend.');
  const { binding } = nodeBackend();
  const session = inFolder('saved_model.pb', savedModel(nodes), (folder) =>
    binding.loadSavedModel(folder, GRAPH_TAG),
  );
  graphs.set(session, nodes);
  return session;
}

/** Frees a session. */
export function deleteGraph(session: number): void {
  nodeBackend().binding.deleteSavedModel(session);
  graphs.delete(session);
}

/** The nodes of a session's graph. */
export const nodesOf = (session: number): readonly GraphNode[] => graphs.get(session) ?? [];
