/** GraphQL over HTTP as a front end does it: data is of the document's type, and an error is thrown. */
export class Client {
    #url;
    constructor(url) {
        this.#url = url;
    }
    async ask(document, ...[variables]) {
        const response = await this.#send(document, variables, 'application/graphql-response+json');
        const { data, errors } = (await response.json());
        if (errors || data === undefined || data === null)
            throw new Error(JSON.stringify(errors));
        return data;
    }
    /** The first values of a subscription, by server-sent events. */
    async *follow(document, ...[variables]) {
        const response = await this.#send(document, variables, 'text/event-stream');
        if (!response.body)
            throw new Error('there is no stream');
        let text = '';
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
            text += chunk;
            for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
                const data = /^data: (.*)$/m.exec(text.slice(0, end))?.[1];
                text = text.slice(end + 2);
                if (data)
                    yield JSON.parse(data).data;
            }
        }
    }
    #send(document, variables, accept) {
        return fetch(this.#url, {
            method: 'POST',
            headers: { 'content-type': 'application/json', accept },
            body: JSON.stringify({ query: document.toString(), variables: variables ?? {} }),
        });
    }
}
