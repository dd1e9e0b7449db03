"""Invented Chinese strings as they stand on receipts, invoices, forms and signs; the counterpart of `phrases`."""

from __future__ import annotations

import numpy as np

from ppocr_jax.synth import phrases
from ppocr_jax.synth.phrases import amount, code, digits, pick

RECEIPT_TITLES = ("购物小票", "销售单", "结账单", "收据", "发票联", "增值税普通发票", "预结单", "顾客联", "商户存根")
RECEIPT_FIELDS = (
    *(
        "单号",
        "流水号",
        "日期",
        "时间",
        "收银员",
        "收银机",
        "机号",
        "店号",
        "桌号",
        "人数",
        "会员卡号",
        "电话",
        "订单编号",
    ),
    *("交易号", "商户号", "终端号", "卡号", "服务员", "开台时间", "打印时间", "地址", "门店", "纳税人识别号", "开户行"),
)
RECEIPT_SUMS = (
    *(
        "合计",
        "小计",
        "总计",
        "应收",
        "实收",
        "找零",
        "现金",
        "微信支付",
        "支付宝",
        "银行卡",
        "折扣",
        "优惠",
        "件数",
        "数量",
    ),
    *("会员优惠", "抹零", "税额", "价税合计", "余额", "积分", "应付金额", "实付金额", "刷卡", "服务费", "餐具费"),
)
RECEIPT_CLOSINGS = (
    *(
        "谢谢惠顾",
        "欢迎再次光临",
        "谢谢光临",
        "请保留小票",
        "凭小票退换",
        "祝您购物愉快",
        "欢迎下次光临",
        "如有疑问请致电",
    ),
    *("七天内凭小票退换货", "开具发票请扫描二维码", "钱款当面点清", "离柜概不负责", "多谢惠顾", "祝您用餐愉快"),
)
FORM_WORDS = (
    *(
        "姓名",
        "性别",
        "年龄",
        "出生日期",
        "民族",
        "籍贯",
        "身份证号",
        "住址",
        "联系电话",
        "邮箱",
        "学历",
        "专业",
        "职业",
        "单位",
    ),
    *(
        "部门",
        "职务",
        "申请人",
        "申请日期",
        "审批意见",
        "备注",
        "序号",
        "名称",
        "规格",
        "型号",
        "单位",
        "数量",
        "单价",
        "金额",
    ),
    *(
        "合计",
        "税率",
        "税额",
        "开票日期",
        "购买方",
        "销售方",
        "地址",
        "开户银行",
        "账号",
        "签字",
        "日期",
        "编号",
        "内容",
        "项目",
    ),
    *(
        "起止时间",
        "负责人",
        "联系人",
        "邮编",
        "传真",
        "用途",
        "期限",
        "状态",
        "类别",
        "说明",
        "附件",
        "填表人",
        "审核",
        "盖章",
    ),
)
SIGN_WORDS = (
    *(
        "出口",
        "入口",
        "禁止吸烟",
        "小心地滑",
        "请勿入内",
        "营业中",
        "欢迎光临",
        "超市",
        "药店",
        "银行",
        "医院",
        "停车场",
        "收费处",
    ),
    *(
        "洗手间",
        "男",
        "女",
        "电梯",
        "安全出口",
        "消防栓",
        "推",
        "拉",
        "书店",
        "茶馆",
        "面馆",
        "火锅",
        "烧烤",
        "水果",
        "蛋糕",
        "咖啡",
    ),
    *(
        "理发",
        "眼镜",
        "手机维修",
        "五金",
        "建材",
        "家具",
        "服装",
        "鞋店",
        "宾馆",
        "旅馆",
        "招租",
        "转让",
        "特价",
        "清仓",
        "公交站",
    ),
    *(
        "地铁",
        "中山路",
        "人民路",
        "解放路",
        "建设街",
        "大道",
        "小学",
        "幼儿园",
        "派出所",
        "邮局",
        "加油站",
        "汽车修理",
        "房产中介",
    ),
)
_GOODS = (
    *(
        "苹果",
        "香蕉",
        "西红柿",
        "土豆",
        "大白菜",
        "鸡蛋",
        "牛奶",
        "酸奶",
        "面包",
        "饼干",
        "方便面",
        "矿泉水",
        "可乐",
        "绿茶",
        "啤酒",
    ),
    *(
        "白酒",
        "大米",
        "面粉",
        "食用油",
        "酱油",
        "陈醋",
        "食盐",
        "白糖",
        "猪肉",
        "牛肉",
        "鸡腿",
        "鱼丸",
        "豆腐",
        "豆浆",
        "花生",
        "瓜子",
    ),
    *(
        "牙膏",
        "牙刷",
        "毛巾",
        "洗发水",
        "香皂",
        "洗衣液",
        "卫生纸",
        "电池",
        "雨伞",
        "拖鞋",
        "笔记本",
        "圆珠笔",
        "宫保鸡丁",
        "鱼香肉丝",
    ),
    *("红烧肉", "水煮鱼", "蛋炒饭", "牛肉面", "饺子", "包子", "米饭", "酸辣汤", "拿铁", "奶茶"),
)
_BRANDS = ("精选", "特级", "新鲜", "有机", "原味", "无糖", "大号", "家庭装", "进口", "农家", "")
_SIZES = ("克", "千克", "毫升", "升", "袋", "盒", "瓶", "斤", "个", "包", "g", "kg", "ml", "L")
_CITIES = (
    "北京市",
    "上海市",
    "广州市",
    "深圳市",
    "杭州市",
    "南京市",
    "成都市",
    "武汉市",
    "西安市",
    "青岛市",
    "苏州市",
    "长沙市",
)
_DISTRICTS = (
    "朝阳区",
    "海淀区",
    "浦东新区",
    "天河区",
    "南山区",
    "西湖区",
    "鼓楼区",
    "武侯区",
    "江汉区",
    "雁塔区",
    "市南区",
)
_STREETS = (
    "中山路",
    "人民路",
    "解放路",
    "建设大道",
    "长江路",
    "和平街",
    "文化路",
    "学府路",
    "新华街",
    "滨江道",
    "花园路",
    "科技二路",
)
_FIRMS = (
    "商贸有限公司",
    "超市",
    "餐饮管理有限公司",
    "便利店",
    "大药房",
    "百货商场",
    "科技有限公司",
    "书店",
    "酒店",
    "物业管理处",
)
_NAMES = (
    "永辉",
    "华联",
    "福源",
    "鑫隆",
    "万佳",
    "百盛",
    "同仁",
    "新世纪",
    "金玉",
    "好邻居",
    "四海",
    "东方",
    "明月",
    "康泰",
)
_LABELS = ("单号", "流水号", "会员卡号", "订单编号", "发票代码", "发票号码", "收银员", "桌号", "合同编号", "登记号")


def date(rng: np.random.Generator) -> str:
    """A date as it is written in Chinese, sometimes followed by the time."""
    year, month, day = int(rng.integers(1990, 2031)), int(rng.integers(1, 13)), int(rng.integers(1, 29))
    text = (
        f"{year}年{month}月{day}日",
        f"{year}年{month:02}月{day:02}日",
        f"{year}-{month:02}-{day:02}",
        f"{year}/{month}/{day}",
        f"{month}月{day}日",
        f"{year}.{month:02}.{day:02}",
    )[int(rng.integers(6))]
    return f"{text} {phrases.time(rng)}" if rng.random() < 0.25 else text


def goods(rng: np.random.Generator) -> str:
    """The name of an article, with or without its size."""
    name = pick(rng, _BRANDS) + pick(rng, _GOODS) if rng.random() < 0.5 else pick(rng, _GOODS)
    size = f"{digits(rng, 1, 3).lstrip('0') or '5'}{pick(rng, _SIZES)}"
    return (name, name, name + size, f"{name}({size})", f"{digits(rng, 3, 6)} {name}")[int(rng.integers(5))]


def address(rng: np.random.Generator) -> str:
    """One line of a postal address or a firm's name."""
    street = f"{pick(rng, _STREETS)}{digits(rng, 1, 3).lstrip('0') or '8'}号"
    place = pick(rng, _CITIES) + pick(rng, _DISTRICTS)
    return (
        place + street,
        pick(rng, _CITIES) + street,
        f"{street}{digits(rng, 1)}栋{digits(rng, 3)}室",
        pick(rng, _NAMES) + pick(rng, _FIRMS),
        f"{pick(rng, _CITIES)}{pick(rng, _NAMES)}{pick(rng, _FIRMS)}",
        f"{pick(rng, _NAMES)}{pick(rng, _FIRMS)}({pick(rng, _STREETS)}店)",
    )[int(rng.integers(6))]


def labeled_code(rng: np.random.Generator) -> str:
    """A field name and its value."""
    colon = pick(rng, ("：", ":", ": ", " "))
    form = int(rng.integers(5))
    if form == 3:
        return f"{pick(rng, ('日期', '开票日期', '打印时间'))}{colon}{date(rng)}"
    if form == 4:
        return f"{pick(rng, RECEIPT_SUMS)}{colon}{amount(rng)}{pick(rng, ('', '元'))}"
    return pick(rng, _LABELS) + colon + code(rng)


def price(rng: np.random.Generator) -> str:
    """A sum of money."""
    return (f"¥{amount(rng).strip('-()')}", f"{amount(rng).strip('-()')}元", f"￥{amount(rng).strip('-()')}")[
        int(rng.integers(3))
    ]


def phrase(rng: np.random.Generator) -> str:
    """A string of a random kind; every third is one without Chinese."""
    makers = (price, date, goods, address, labeled_code)
    if rng.random() < 0.33:
        return phrases.phrase(rng)
    if rng.random() < 0.25:
        return pick(rng, FORM_WORDS if rng.random() < 0.5 else SIGN_WORDS)
    return makers[int(rng.integers(len(makers)))](rng)
