export { RedisStock } from './redis-stock.js';
export { RedisStockModule } from './redis-stock.module.js';
export type {
  ClaimAnswer,
  HoldState,
  HoldView,
  StockAudit,
  LedgerOrder,
  MarkSoldAnswer,
  ReacquireAnswer,
  RebuildResult,
  ReleaseAnswer,
  ReleaseCause,
  Reservation,
  ReserveAnswer,
  SoldOrder,
  StockCounters,
  StockOrder,
  StoredHold,
  TicketTypeSnapshot,
} from './stock-values.js';
export { newTicketTypeId, orderNoFor, otherOrderNosFor, SAME_REQUEST_MS } from './order-no.js';
export type { OrderRequest } from './order-no.js';
