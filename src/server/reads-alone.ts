import { type DocumentNode, GraphQLError, getOperationAST } from 'graphql'
import type { Plugin } from 'graphql-yoga'

/** An operation that is about to run. */
interface Operation {
  args: { document: DocumentNode; operationName?: string | null | undefined }
  setResultAndStopExecution(result: { errors: readonly GraphQLError[] }): void
}

/** Runs queries, and refuses what would change something or waits for a change: nobody is here to make one. */
export function useReadsAlone(): Plugin {
  const check = ({ args, setResultAndStopExecution }: Operation) => {
    const type = getOperationAST(args.document, args.operationName)?.operation
    if (type === 'query' || type === undefined) return
    const message = `Offline there are pulled files, which are only read: send a ${type} to the server that they are from.`
    setResultAndStopExecution({ errors: [new GraphQLError(message, { extensions: { code: 'UNAVAILABLE' } })] })
  }
  return { onExecute: check, onSubscribe: check }
}
