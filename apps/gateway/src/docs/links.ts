import type { ZodOpenApiResponseObject } from 'zod-openapi';

type Links = NonNullable<ZodOpenApiResponseObject['links']>;

/** Calls of one thing, whose name as a parameter is found at `pointer` in the answer. */
function callsOf(parameter: string, pointer: string, operationIds: readonly string[]): Links {
  return Object.fromEntries(
    operationIds.map((operationId) => [
      operationId,
      { operationId, parameters: { [parameter]: `$response.body#${pointer}` } },
    ]),
  );
}

/** What a buyer does with an order. Not its stream, which goes on until the order has ended. */
const OF_ORDER = ['readOrder', 'payOrder', 'cancelOrder', 'issueStreamToken'];
const OF_DEAD_LETTER = ['readDeadLetter', 'redriveDeadLetter', 'discardDeadLetter'];

export const orderLinks = callsOf('orderNo', '/orderNo', OF_ORDER);
export const orderPageLinks: Links = {
  ...callsOf('orderNo', '/items/0/orderNo', OF_ORDER),
  ...callsOf('cursor', '/nextCursor', ['listOrders']),
};
export const deadLetterPageLinks: Links = {
  ...callsOf('id', '/items/0/id', OF_DEAD_LETTER),
  ...callsOf('cursor', '/nextCursor', ['listDeadLetters']),
};
export const deadLetterTraceLinks = callsOf('id', '/messageId', ['traceMessage']);
export const auditPageLinks = callsOf('cursor', '/nextCursor', ['listAudit']);

/** Buys the first ticket type of the show that stands at `pointer`. */
export const showLinks = (pointer: string): Links => ({
  placeOrder: {
    operationId: 'placeOrder',
    requestBody: {
      ticketTypeId: `$response.body#${pointer}/sessions/0/ticketTypes/0/id`,
      quantity: 1,
    },
  },
});
