"""Words as they stand on receipts, bills, forms and signs; "|" parts entries of several words."""

from __future__ import annotations


def _entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.replace("\n", " ").split("|"))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


RECEIPT_WORDS = _entries("""
    TOTAL|SUBTOTAL|Sub Total|TOTAL :|Total Amount|GRAND TOTAL|CASH|CHANGE|Change Due|TAX INVOICE|Tax Invoice|
    INVOICE|SIMPLIFIED TAX INVOICE|RECEIPT|CASH BILL|CASH SALES|AMOUNT|Amt|QTY|Qty|PRICE|U.Price|UNIT PRICE|
    Description|ITEM|Item(s)|DISCOUNT|Disc|ROUNDING|Rounding Adj|ROUND ADJ|GST|GST SUMMARY|Tax(RM)|Amt(RM)|RM|SR|
    ZRL|TAX CODE|Tax|Cashier|CASHIER :|Counter|Operator|Salesperson|Member|TABLE|Table No|PAX|Bill No|Date|DATE :|
    Time|Tel|TEL :|FAX|VISA|VISA CARD|MASTERCARD|DEBIT|Payment Mode|PAID|Balance Due|Tendered|VAT|SVC CHG|
    Service Charge|TIPS|CREDIT|THANK YOU|Thank you, please come again|PLEASE COME AGAIN|
    THANK YOU FOR YOUR PATRONAGE|HAVE A NICE DAY|GOODS SOLD ARE NOT RETURNABLE|Goods sold are not refundable|
    E. & O. E.|CUSTOMER COPY|MERCHANT COPY|TERIMA KASIH|Total (Inclusive of GST)|Total (Excluding GST)|
    Total Sales Inclusive GST|Total Qty|Item Count|NO. OF ITEMS|This is a computer generated invoice|
    no signature is required|Please keep this receipt|Exchange within 7 days|with original receipt|Reg No|
    Co. Reg No|GST ID|GST REG NO|Approval Code|Terminal|Batch|Trace No|Doc No.|Ref|Points|Balance|EXCL. GST|
    INCL. GST|6% GST|@6%|0%|Sales Tax|Payable|Amount Due|Taxable|NETT|Net Total|Savings|DINE IN|TAKE AWAY|Order|
    Server|Guest|Check|Closed|ORDER #|Ship To|Bill To|Sold To|Terms|Due Date|Page 1 of 1
""")

GOODS = _words("""
    Milk Rice Bread Butter Coffee Tea Ice Chicken Fish Curry Noodle Soup Egg Sugar Salt Oil Soap Paper Pen Ink Cable
    Brush Paint Tape Glue Bag Box Bottle Mineral Water Juice Lemon Apple Orange Mango Banana Cake Biscuit Chocolate
    Cheese Burger Fries Set Meal Nasi Ayam Ikan Mee Goreng Roti Kopi Teh Limau Susu Roll Pizza Salad Beef Lamb Prawn
    Battery Lamp Bulb Screw Nail Hook Hose Valve Pipe Towel Shirt Shoes Sock Yarn Thread Zip Panel Board Plug Toner
    Stapler File Envelope Label Diesel Unleaded Hair Spray Shampoo Tissue Napkin Candle Plate Cup Spoon Tray Large
    Small Medium Regular Hot Cold Spicy Fresh Frozen Sweet White Black Red Green Blue Classic Original Mini
""")

STREET_WORDS = _words("""
    JALAN TAMAN LORONG BANDAR KAMPUNG LOT BLOK NO. SEKSYEN PUSAT DESA SERI INDAH JAYA PERDANA PERMAI SETIA UTAMA
    BARU TENGAH KOTA BUKIT SUNGAI BATU PADANG PASAR TASIK MAJU MEWAH Street Road Avenue Lane Drive Suite Floor Level
    Unit Ground Block Plaza Mall Center Building Tower Park North South East West Square Court Industrial SELANGOR
    JOHOR PENANG PERAK SDN BHD ENTERPRISE TRADING SERVICES HOLDINGS RESTAURANT STATIONERY HARDWARE Pte Ltd Inc. LLC
    Co. GmbH Corporation Limited MARKET BAKERY PHARMACY ELECTRIC
""")

FORM_WORDS = _entries("""
    NAME|Name:|ADDRESS|Address:|CITY|STATE|ZIP|TO:|FROM:|SUBJECT:|RE:|cc:|DATE:|Fax No.|FAX NUMBER|Telephone|Phone|
    Signature|SIGNATURE|Title|Department|Approved by|Prepared by|REQUESTED BY|Project No.|PROJECT|BUDGET|COST|
    QUANTITY|Remarks|COMMENTS|Comments:|NOTES|Yes|No|N/A|Number of pages|PAGES|CONFIDENTIAL|MEMORANDUM|REPORT|
    Sample|Test|Results|Method|Market|Brand|Division|Region|Account|Client|Supplier|Vendor|Contract|Effective Date|
    Page|Form|Revision|Rev.|Attachment|Authorization|Manager|Supervisor|Initials|Company|Social Security No.|Sex|
    Age|Height|Weight|Please print|Check one|If yes, explain|Total Cost|Estimated|Actual|Media|Distribution|
    Schedule|Code
""")

SIGN_WORDS = _words("""
    EXIT ENTRANCE SALE OPEN CLOSED TOILET TAXI BANK CAFE HOTEL PARKING STOP PUSH PULL LIFT STAIRS INFO WARNING
    DANGER PRIVATE STATION PLATFORM GATE MARKET FASHION OUTLET SHOP NEW FREE OFF BUY GET ONE MENU BAR GRILL PIZZA
    SUSHI BOOKS PHOTO MOBILE BEAUTY NAILS HAIR SALON SPA GYM CLINIC DENTAL OPTICAL JEWELLERY GIFTS FLOWERS LOBBY
    LEVEL EXPRESS CITY CENTRAL PLAZA WELCOME SPECIAL OFFER TODAY ONLY UP TO Save Fresh Happy Hour Coffee House
    Garden Palace Royal Star World Sport Music Games Travel Money Changer Ticket Counter No Smoking Emergency Fire
    Hose Keep Clear Way
""")

MONTHS = _words("""
    January February March April May June July August September October November December
""")

RECEIPT_TITLES = _entries("""
    TAX INVOICE|Tax Invoice|INVOICE|CASH BILL|RECEIPT|SIMPLIFIED TAX INVOICE|CASH SALES|Official Receipt|GUEST CHECK|
    - TAX INVOICE -|*** COPY ***|SALES RECEIPT|ORDER SLIP
""")

RECEIPT_FIELDS = _entries("""
    Invoice No|Bill No|Receipt #|DOC NO|Date|DATE|Time|Cashier|CASHIER|Counter|Table|Operator|Member|Salesperson|
    Ref No|Trans|POS|Customer|Till|Station|Terminal|Order|Server|Pax|Order Type|Printed
""")

RECEIPT_SUMS = _entries("""
    TOTAL|Sub Total|SUBTOTAL|Total :|Grand Total|CASH|Cash|CHANGE|Change|Rounding|ROUNDING ADJ|Discount|GST 6%|
    Service Charge|TAX|Total Amount|Amount Due|VISA|Total Sales (Inclusive of GST)|TOTAL QTY|Item Count|NETT|Payable|
    Tendered|Total Excluding GST|Balance|MASTERCARD|VAT 20%|Tips
""")

RECEIPT_CLOSINGS = _entries("""
    THANK YOU|Thank you, please come again|PLEASE COME AGAIN|Have a nice day|
    Goods sold are not returnable|CUSTOMER COPY|Exchange within 7 days with receipt|
    This is a computer generated invoice|No signature required|Terima kasih|
    Thank you for shopping with us|Please keep this receipt|E. & O. E.|Follow us for special offers|
    Tell us what you think|Prices include tax
""")
