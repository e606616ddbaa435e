export { StockLedger } from './stock-ledger.js';
export { StockLedgerModule } from './stock-ledger.module.js';
export type {
  ClaimAnswer,
  HoldState,
  HoldView,
  LedgerAudit,
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
