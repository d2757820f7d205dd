import { Client } from './client.js';
import { AppendSalesDocument, AttainmentDocument, FilesDocument, FollowDocument, LiveDocument, ModelsDocument, MovedGoalsDocument, SalesByMonthDocument, SalesDocument, SalesOfACountryDocument, } from './generated/graphql.js';
/** What a page would show, taken out of answers whose types the compiler has seen: a field that is not there stops it. */
export async function visit(url, { sales, goals }) {
    const client = new Client(url);
    const { kinds, models } = await client.ask(ModelsDocument);
    const versions = {};
    for (const model of models?.nodes ?? [])
        versions[model.id] = model.version;
    // The same key is the same intent, so who has waited in vain asks again.
    let appended = (await client.ask(AppendSalesDocument, { model: sales, key: 'again' })).appendSales;
    while (appended?.status === 'QUEUED' || appended?.status === 'RUNNING')
        appended = (await client.ask(AppendSalesDocument, { model: sales, key: 'again' })).appendSales;
    const again = (await client.ask(AppendSalesDocument, { model: sales, key: 'again' })).appendSales;
    const inserted = appended?.outcome && 'inserted' in appended.outcome ? appended.outcome.inserted : null;
    const amounts = [];
    const names = [];
    let page = (await client.ask(SalesDocument, { model: sales })).salesModel?.snapshot;
    while (page?.sales) {
        for (const { amount, site } of page.sales.nodes) {
            amounts.push(amount);
            names.push(site?.name ?? null);
        }
        const { hasNextPage, endCursor } = page.sales.pageInfo;
        if (!hasNextPage)
            break;
        const next = { model: sales, at: { version: page.version }, after: endCursor };
        page = (await client.ask(SalesDocument, next)).salesModel?.snapshot;
    }
    const abroad = (await client.ask(SalesOfACountryDocument, { model: sales, countries: ['France'] })).salesModel
        ?.snapshot;
    const months = (await client.ask(SalesByMonthDocument, { model: sales, above: '50' })).salesModel?.snapshot;
    const by = ['SITE'];
    const met = (await client.ask(AttainmentDocument, { model: goals, by })).goalsModel?.snapshot?.attainment;
    const moved = (await client.ask(MovedGoalsDocument, { model: goals, since: { version: 0 } })).goalsModel;
    const files = (await client.ask(FilesDocument, { model: sales })).model?.snapshot;
    return {
        kinds: kinds.map(({ name }) => name),
        versions,
        appended: { status: appended?.status, inserted, isTheSame: appended?.seq === again?.seq },
        amounts,
        names,
        abroad: {
            site: abroad?.site?.name,
            orders: abroad?.sales?.edges.map(({ node }) => node.orderId),
        },
        months: months?.salesAggregate?.nodes.map(({ group, sum, count }) => [
            group.date,
            group.site?.name,
            sum?.amount,
            count,
        ]),
        met: met?.nodes.map(({ period, siteId, goalAmount, ratio }) => ({ period, siteId, goalAmount, ratio })),
        moved: moved?.snapshot?.goalsDiff?.nodes.map(({ change, after }) => [change, after?.period, after?.goalAmount]),
        tables: files?.tables.map(({ name, rows, csv }) => ({ name, rows, csv })),
        live: (await first(client.follow(LiveDocument))).modelChanges.map(({ id }) => id),
        followed: (await first(client.follow(FollowDocument, { model: goals }))).completions.snapshot?.version,
    };
}
async function first(values) {
    for await (const value of values)
        return value;
    throw new Error('nothing came');
}
